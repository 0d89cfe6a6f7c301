"""Every error Perennial raises, in one tree. Imports nothing of ours.

PerennialError
  - UserError              what the caller can mend: settings, arguments, files
    x ConfigError          a setting or flag that cannot be used
    x DocumentError        a document that cannot be taken in
      . FetchRefused       its address, size or form is not one that is fetched
      . FetchFailed        its server does not answer well; trying later may help
    x ModelError           a model or adapter directory that cannot be used
    x NotFoundError        a name or digest that is not in the store
    x BusyError            a home, socket or port another process holds
  - StateError             a life-cycle transition that is not allowed
  - IntegrityError         stored bytes that differ from their recorded digest
  - EngineError            the inference engine failed
    x EngineUnavailable    it does not answer (dead, starting, stopped)
    x EngineRefused        it answered with an error
  - StageError             a stage of an update cycle failed
  - ToolError              a tool call failed; the model sees the message
    x ToolRetry            the same call may succeed, or can be corrected
    x ToolFailed           trying again is pointless

A message names the thing, the value and the way out. `hint` is that way out, kept apart so that
the command line can print it on its own line.
"""


class PerennialError(Exception):
    """Base of all errors. `hint` says what the reader can do next; it may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UserError(PerennialError):
    """Something the caller can mend."""


class ConfigError(UserError, ValueError):
    """A setting or flag that cannot be used."""


class DocumentError(UserError, ValueError):
    """A document that cannot be taken in."""


class FetchRefused(DocumentError):
    """What is not fetched, now or later: its address, its size or its form is forbidden."""


class FetchFailed(DocumentError):
    """What could not be fetched now: its server is away, too slow or broken."""


class ModelError(UserError, ValueError):
    """A model or adapter directory that cannot be used."""


class NotFoundError(UserError, LookupError):
    """A name or digest that is not in the store."""


class BusyError(UserError, RuntimeError):
    """A home, socket or port that another process holds."""


class StateError(PerennialError, RuntimeError):
    """A life-cycle transition that is not allowed."""


class IntegrityError(PerennialError, RuntimeError):
    """Stored bytes that differ from their recorded digest."""


class EngineError(PerennialError, RuntimeError):
    """The inference engine failed."""


class EngineUnavailable(EngineError):
    """The engine does not answer: dead, starting or stopped."""


class EngineTimeout(EngineUnavailable):
    """The engine has not answered for as long as a request may take."""


class EngineRefused(EngineError):
    """The engine answered with an error. `status` is its HTTP status."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class StageError(PerennialError, RuntimeError):
    """A stage of an update cycle failed. The cycle record keeps it as data."""


class ToolError(PerennialError, RuntimeError):
    """A tool call failed; the model sees the message as the tool's result."""


class ToolRetry(ToolError):
    """The call may succeed if repeated or corrected."""


class ToolFailed(ToolError):
    """Trying the call again is pointless."""
