"""Text from outside as far as it can be kept, and names as far as they can be looked up.

JSON can carry half of a surrogate pair, which can neither be sent to an engine nor written to a
file, and NUL, which PostgreSQL refuses in a query: each would end in a server error later. Used by
the bodies, paths and queries of agent.api.
"""

from typing import Annotated

from pydantic import AfterValidator


def readable(text: str) -> str:
    """The text itself. ValueError when it is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"holds half of a surrogate pair at character {error.start}") from None
    return text


def nameable(name: str) -> str:
    """The name itself. ValueError when nothing can be called so."""
    if "\0" in name:
        raise ValueError("holds a NUL character")
    return readable(name)


def sayable(text: str) -> str:
    """The text as an answer can carry it: what no text may hold becomes a question mark."""
    return text.encode(errors="replace").decode()


Text = Annotated[str, AfterValidator(readable)]
"""A text that can be kept."""
Name = Annotated[str, AfterValidator(nameable)]
"""A text that may be what something is called."""
