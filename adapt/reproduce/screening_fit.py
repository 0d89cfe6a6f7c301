"""Fits the classifier of adapt.gather.screen_meaning: sentences said to models against all others.

Hostile are the sentences of said_to_models.txt and of the wordings that the rules were developed
on; harmless those of said_to_readers.txt and of the real documents of the develop half. From how
many log-odds a document is held is chosen on documents that a fold's fit did not see. Nothing of
the report half is read. Called by adapt.commands.reproduce_screening.
"""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from adapt.gather.screen_meaning import FILE, embedder, read_of, sentences_of
from adapt.gather.screen_text import Part
from adapt.reproduce.screening_hostile import phrases, phrases_in
from adapt.reproduce.screening_real import real_documents
from store.files import write_atomic

Array = NDArray[np.float64]
REAL = 2000
HELD, TOLD = 0.01, 0.03
"""Shares of the real documents that it may hold and tell of."""
L2 = 1.0
FOLDS = 4
KINDS = ("override", "paraphrased", "api", "trigger", "exfiltrate", "training")
"""Of the developed wordings: those that are sentences in English."""


def fit_meaning(data: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Make the weights anew and write them beside their module; what was fitted on what.

    NotFoundError where `data` lacks a data set.
    """
    said = [line for lines in phrases_in("said_to_models.txt").values() for line in lines]
    said += [line for kind in KINDS for line in phrases("develop")[kind]]
    harmless = [line for lines in phrases_in("said_to_readers.txt").values() for line in lines]
    drawn = real_documents(data, "develop", 1, REAL)
    real = [document for documents in drawn.values() for document in documents]
    hostile = _vectors([[Part("", line)] for line in said], "hostile lines", progress)
    plain = _vectors([[Part("", line)] for line in harmless], "harmless lines", progress)
    vectors = _vectors([read_of(document) for document in real], "real documents", progress)
    progress("choosing from when a document is held")
    order = list(range(len(real)))
    random.Random(1).shuffle(order)
    best = np.zeros(len(real))
    for fold in range(FOLDS):
        unseen = set(order[fold::FOLDS])
        seen = [v for place, v in enumerate(vectors) if place not in unseen]
        weights, bias = _fit(hostile, [*plain, *seen])
        for place in unseen:
            own = vectors[place]
            best[place] = (own @ weights).max() + bias if len(own) else -np.inf
    weights, bias = _fit(hostile, [*plain, *vectors])
    hold, note = (float(np.quantile(best, 1 - share)) for share in (HELD, TOLD))
    told = {
        "embedder": embedder().name, "bias": round(bias, 4), "hold": round(hold, 3),
        "note": round(note, 3), "weights": [round(float(w), 4) for w in weights],
    }  # fmt: skip
    write_atomic(FILE, json.dumps(told) + "\n")
    return {
        "hostile_lines": len(said), "harmless_lines": len(harmless), "real_documents": len(real),
        "hold": told["hold"], "note": told["note"], "file": FILE.name,
    }  # fmt: skip


def _vectors(
    texts: Sequence[Sequence[Part]], what: str, progress: Callable[[str], None]
) -> list[Array]:
    """Of each text its judged sentences' vectors, (sentences, 384)."""
    model, found = embedder(), []
    for number, parts in enumerate(texts):
        if number % 50 == 0:
            progress(f"{what}: {number} of {len(texts)}")
        own = model.embed([sentence for _, sentence in sentences_of(parts)])
        found.append(np.array(own, dtype=np.float64).reshape(-1, 384))
    return found


def _fit(hostile: Sequence[Array], harmless: Sequence[Array]) -> tuple[Array, float]:
    """Weights (384) and bias of a logistic regression with an L2 penalty on the weights."""
    positive, negative = np.concatenate(hostile), np.concatenate(harmless)
    x = np.concatenate([positive, negative])
    sign = np.concatenate([np.ones(len(positive)), -np.ones(len(negative))])

    def loss(theta: Array) -> tuple[float, Array]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        value = np.logaddexp(0, -margin).sum() + L2 * (theta[:-1] ** 2).sum() / 2
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        return value, np.append(x.T @ slope + L2 * theta[:-1], slope.sum())

    start = np.zeros(x.shape[1] + 1)
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return theta[:-1], float(theta[-1])
