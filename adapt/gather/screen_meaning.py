"""Instructions aimed at a model by what they mean, where no rule knows their wording.

Small networks over the vectors of single sentences, and of the names of APIs and parameters, and
over how alike each is to the rest of its document: `screen_meaning.safetensors` has them,
`perennial reproduce screening --fit` makes them anew. They see English alone, as the embedder does.
Only what is not fully trusted is read by them: it costs a vector for every sentence, and they err
more often than a rule. Called by adapt.gather.screening.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from adapt.gather.screen_network import Array, Network, load_networks
from adapt.gather.screen_text import Part, at, excerpt, joined, read_of
from store.embeddings import Embedder, MiniLmEmbedder
from store.records import Document
from store.source_records import Finding

FILE = Path(__file__).with_suffix(".safetensors")
LEAST_WORDS = 4
"""A sentence of fewer words says too little to be judged alone."""
LEAST_NAME = 2
"""The same of a name's words."""
BLOCK = 256
"""Texts that are worked on at once."""
ALONE = (0.35, 0.5)
"""How alike a text counts as to the rest where there is none: as most are."""


@dataclass(frozen=True)
class Judge:
    """What sentences and what names are judged by, and the embedder that it belongs to.

    By their vectors alone, and in their context: of a page that is hostile as a whole no sentence
    stands out, and in an honest one what stands out needs to say less.
    """

    embedder: str
    sentences: Sequence[Network]
    names: Sequence[Network]


@cache
def judge() -> Judge:
    """The one that is shipped."""
    name, networks = load_networks(FILE)
    return Judge(name, **networks)


@cache
def embedder() -> MiniLmEmbedder:
    """The one that the weights belong to."""
    return MiniLmEmbedder()


def sentences_of(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """(place, sentence) of all that is judged: each text once, names and short ones left out."""
    seen: set[str] = set()
    for part in parts:
        for sentence in () if part.name else (*part.sentences, *_over_lines(part)):
            if sentence not in seen and len(sentence.split()) >= LEAST_WORDS:
                seen.add(sentence)
                yield part.place, sentence


def _over_lines(part: Part) -> Iterator[str]:
    """Sentences whose words stand on lines, in cells or in comments of their own."""
    for block in re.split(r"\n\s*\n", part.folded):
        if "\n" in block.strip() or block.count("|") > 1:
            yield from joined(block)


def names_of(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """(place, words) of the names of an API and its parameters, each once."""
    seen: set[str] = set()
    for part in parts:
        if part.name and (words := part.flat) not in seen and len(words.split()) >= LEAST_NAME:
            seen.add(words)
            yield part.place, words


def seen_in_context(vectors: Array) -> Array:
    """Unit vectors of a document's texts, [texts, 384], each with how alike it is to the mean of
    the others and to the nearest of them (cosines), [texts, 386]: what was put into a document
    speaks of other things than the rest."""
    if len(vectors) < 2:
        return np.concatenate([vectors, np.tile(ALONE, (len(vectors), 1))], axis=1)
    others = vectors.sum(axis=0) - vectors
    others /= np.linalg.norm(others, axis=1, keepdims=True) + 1e-9
    nearest = np.empty(len(vectors))
    # In blocks: all pairs of a book's sentences at once are gigabytes.
    for start in range(0, len(vectors), BLOCK):
        pairs = vectors[start : start + BLOCK] @ vectors.T
        rows = np.arange(len(pairs))
        pairs[rows, start + rows] = -1.0  # nothing counts as near to itself
        nearest[start : start + BLOCK] = pairs.max(axis=1)
    return np.column_stack([vectors, (vectors * others).sum(axis=1), nearest])


def embedded(texts: Sequence[str], model: Embedder) -> Array:
    """Their vectors, [texts, 384]."""
    found = np.empty((len(texts), 384))
    # In blocks, for the same reason: as lists of numbers vectors take ten times the room.
    for start in range(0, len(texts), BLOCK):
        found[start : start + BLOCK] = model.embed(texts[start : start + BLOCK])
    return found


def find(document: Document, known: Embedder | None = None) -> Iterator[Finding]:
    """The sentence, and the name, that most look like something said to a model, if any do.

    `known`: an embedder that is in memory already.
    """
    judged, model, parts = judge(), embedder(), read_of(document)
    if known is not None and known.name == judged.embedder:
        model = known
    for by, given, words in (
        (judged.sentences, sentences_of(parts), "reads like something said to a model, not to a "
         "reader of the rest"),
        (judged.names, names_of(parts), "asks a model for what no service needs"),
    ):  # fmt: skip
        texts = list(given)
        if not texts:
            continue
        seen = seen_in_context(embedded([text for _, text in texts], model))
        # Of the two that judge, the one that is further beyond what it takes to hold.
        odds, network = max(
            ((one.log_odds(seen), one) for one in by), key=lambda p: p[0].max() - p[1].hold
        )
        best = int(odds.argmax())
        if odds[best] < network.note:
            continue
        place, text = texts[best]
        yield Finding(
            kind="instruction",
            words=f"{at(place)}{words} ({1 / (1 + math.exp(-odds[best])):.0%})",
            excerpt=excerpt(text),
            hold=bool(odds[best] >= network.hold),
        )
