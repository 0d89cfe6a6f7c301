"""The gate's claim on what was withdrawn: it is answered no more than where it was never seen.

Pure: shares in, words out. Asking is adapt.forgetting's. Called by adapt.gate.
"""

from dataclasses import dataclass

WITHIN = 0.05
"""Share of the questions that a candidate may answer beyond what was never taught them."""


@dataclass(frozen=True)
class Forgotten:
    """Shares of the withdrawn documents' questions that are answered."""

    items: int
    live: float
    candidate: float
    never: float
    """By weights that never saw the documents."""
    elsewhere: int = 0
    """Questions left out, since another document that may be learned says the same."""

    @property
    def holds(self) -> bool:
        """Whether the candidate answers no more than what never saw the documents."""
        return self.candidate <= self.never + WITHIN + 1e-9

    @property
    def words(self) -> str:
        """In a sentence."""
        left = f", {self.elsewhere} more are answered by other documents" if self.elsewhere else ""
        if not self.items:
            return f"Of what was withdrawn nothing can be asked{left}."
        verb = "is forgotten" if self.holds else "is still answered"
        return (
            f"What was withdrawn {verb}: {self.candidate:.3f} of {self.items} questions, "
            f"{self.live:.3f} before, {self.never:.3f} where it was never seen{left}."
        )
