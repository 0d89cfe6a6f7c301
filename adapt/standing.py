"""Which examples still hold: no document of theirs is withdrawn, and nothing newer contradicts.

Called by all that choose examples to train on, to learn again, or to ask.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from store import Store
from store.records import DocumentState, Example

_OUT = (DocumentState.QUARANTINED, DocumentState.WITHDRAWN)


@dataclass(frozen=True)
class Standing:
    """What no longer holds, as it stood when it was read."""

    documents: Collection[str]
    """Digests of documents that were taken back."""
    superseded: Collection[tuple[str, str]]
    """(example, document) that a newer document contradicts."""

    @classmethod
    def of(cls, store: Store) -> "Standing":
        """As the store has it now."""
        return cls(store.documents.digests(*_OUT), store.superseded.pairs())

    def holds(self, example: Example) -> bool:
        """Whether an example may be trained on and asked."""
        return not any(
            digest in self.documents or (example.digest, digest) in self.superseded
            for digest in example.documents
        )

    def among(self, examples: Iterable[Example]) -> list[Example]:
        """Those that hold, in order."""
        return [example for example in examples if self.holds(example)]
