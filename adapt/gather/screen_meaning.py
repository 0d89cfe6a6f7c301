"""Instructions aimed at a model by what they mean, where no rule knows their wording.

A linear classifier over the vectors of single sentences: `screen_meaning.json` has its weights,
`perennial reproduce screening --fit` makes them anew. It sees English alone, as the embedder does.
Only what is not fully trusted is read by it: it costs a vector for every sentence, and errs more
often than a rule. Called by adapt.gather.screening.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapt.gather.screen_text import Part, at, excerpt, parts_of
from store.embeddings import Embedder, MiniLmEmbedder
from store.records import Document
from store.source_records import Finding

FILE = Path(__file__).with_suffix(".json")
LEAST_WORDS = 4
"""A sentence of fewer words says too little to be judged alone."""


@dataclass(frozen=True)
class Weights:
    """A logistic regression over the embedder's vectors of 384."""

    embedder: str
    bias: float
    weights: tuple[float, ...]
    hold: float
    """Log-odds from which a sentence holds a document."""
    note: float
    """Log-odds from which it is told of."""

    def log_odds(self, vector: Sequence[float]) -> float:
        """How much more likely an instruction to a model is than anything else."""
        return self.bias + math.fsum(w * x for w, x in zip(self.weights, vector, strict=True))


@cache
def weights() -> Weights:
    """Those that are shipped."""
    said = json.loads(FILE.read_text())
    return Weights(**said | {"weights": tuple(said["weights"])})


@cache
def embedder() -> MiniLmEmbedder:
    """The one that the weights belong to."""
    return MiniLmEmbedder()


def read_of(document: Document) -> list[Part]:
    """The parts that are judged: an API's texts one by one, and not all of them as one."""
    parts = parts_of(document)
    return parts[:-1] if document.kind == "api" else parts


def sentences_of(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """(place, sentence) of all that is judged: each text once, names and short ones left out."""
    seen: set[str] = set()
    for part in parts:
        for sentence in () if part.name else part.sentences:
            if sentence not in seen and len(sentence.split()) >= LEAST_WORDS:
                seen.add(sentence)
                yield part.place, sentence


def find(document: Document, known: Embedder | None = None) -> Iterator[Finding]:
    """The sentence of a document that most looks like an instruction to a model, if any does.

    `known`: an embedder that is in memory already.
    """
    judged, model = weights(), embedder()
    if known is not None and known.name == judged.embedder:
        model = known
    best = max(
        (
            (judged.log_odds(model.embed([sentence])[0]), place, sentence)
            for place, sentence in sentences_of(read_of(document))
        ),
        default=None,
    )
    if best is None or best[0] < judged.note:
        return
    odds, place, sentence = best
    yield Finding(
        kind="instruction",
        words=f"{at(place)}reads like something said to a model, not to a reader "
        f"({1 / (1 + math.exp(-odds)):.0%})",
        excerpt=excerpt(sentence),
        hold=odds >= judged.hold,
    )
