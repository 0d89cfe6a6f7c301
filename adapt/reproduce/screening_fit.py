"""Fits the networks of adapt.gather.screen_meaning: sentences said to models against all others.

Hostile are the sentences of said_to_models.txt and of the wordings that the rules were developed
on, each put into a real document; harmless those of said_to_readers.txt and of the real documents
of the develop half. names_of_parameters.txt has both kinds of names. From how many log-odds a
document is held is chosen on documents that a fold's fit did not see. Nothing of the report half is
read. Called by adapt.commands.reproduce_screening.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapt.gather.screen_meaning import (
    FILE,
    embedded,
    embedder,
    names_of,
    seen_in_context,
    sentences_of,
)
from adapt.gather.screen_network import SCALE, Array, Network, save_networks
from adapt.gather.screen_text import Part, name_part, read_of
from adapt.reproduce.screening_hostile import phrases, phrases_in
from adapt.reproduce.screening_real import real_documents

REAL = 2000
SHARES = {"sentences": (0.006, 0.02), "names": (0.003, 0.01)}
"""Shares of the real documents that each of two may hold, and tell of."""
Read = Callable[[Sequence[Part]], Iterable[tuple[str, str]]]
HIDDEN, DROPOUT, EPOCHS, BATCH = 128, 0.5, 16, 256
RATE, DECAY = 2e-3, 0.1
HOSTILE_COUNTS = 3.0
"""So many times as much as a harmless text: there are eight times as many of those."""
FOLDS = 4
KINDS = ("override", "paraphrased", "api", "trigger", "exfiltrate", "training")
"""Of the developed wordings: those that are sentences in English."""


def fit_meaning(data: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Make the weights anew and write them beside their module; what was fitted on what.

    NotFoundError where `data` lacks a data set.
    """
    # Sums of several threads round by how many there are.
    torch.set_num_threads(1)
    made: dict[str, list[Network]] = {}
    counts: dict[str, Any] = {}
    drawn = real_documents(data, "develop", 1, REAL)
    real = [document for documents in drawn.values() for document in documents]
    apis = [document for document in real if document.kind == "api"]
    for kind, read, lines, documents in (
        ("sentences", sentences_of, _sentences(), real),
        ("names", names_of, _names(), apis),
    ):
        vectors = {
            what: _vectors(texts, read, f"{kind}, {what}", progress)
            for what, texts in lines.items()
        }
        found = _vectors([read_of(d) for d in documents], read, f"{kind}, documents", progress)
        progress(f"{kind}: choosing from when a document is held")
        kinds = [document.kind for document in documents]
        made[kind] = _judges(vectors, Seen(found, kinds), SHARES[kind])
        counts[kind] = {what: len(texts) for what, texts in lines.items()}
        counts[kind] |= {
            "documents": len(documents),
            "hold": [round(one.hold, 3) for one in made[kind]],
        }
    save_networks(FILE, embedder().name, made)
    return counts | {"file": FILE.name}


def _sentences() -> dict[str, list[list[Part]]]:
    """Lines by whether they are harmless, and of the others by what they are put into."""
    hostile = [*phrases_in("said_to_models.txt").items()]
    hostile += [(kind, phrases("develop")[kind]) for kind in KINDS]
    harmless = [line for lines in phrases_in("said_to_readers.txt").values() for line in lines]
    return {
        "prose": _parts([line for kind, lines in hostile if kind != "api" for line in lines]),
        "api": _parts([line for kind, lines in hostile if kind == "api" for line in lines]),
        "harmless": _parts(harmless),
    }


def _parts(lines: Sequence[str]) -> list[list[Part]]:
    return [[Part("", line)] for line in lines]


def _names() -> dict[str, list[list[Part]]]:
    """The same of names, which are read by their words."""
    bank = phrases_in("names_of_parameters.txt")
    return {
        what: [[name_part("", name)] for name in bank[section]]
        for what, section in (("api", "hostile names"), ("harmless", "harmless names"))
    }


@dataclass(frozen=True)
class Seen:
    """Real documents: the vectors of each one's texts, and its kind."""

    vectors: Sequence[Array]
    kinds: Sequence[str]


def _judges(lines: dict[str, list[Array]], real: Seen, shares: Sequence[float]) -> list[Network]:
    """Those that judge by the vectors alone and in context, in this order."""
    rng = np.random.default_rng(1)
    own = [seen_in_context(vectors) for vectors in real.vectors]
    around = np.concatenate(own)[:, -2:]
    hostile = [
        _put(rng, line, [v for v, k in zip(real.vectors, real.kinds, strict=True) if k == kind])
        for kind in ("prose", "api")
        for line in lines.get(kind, [])
    ]
    # Whatever a harmless line says, it says in a document that it belongs to.
    plain = [
        np.hstack([line, around[rng.integers(len(around), size=len(line))]])
        for line in lines["harmless"]
    ]
    all_of = own[0].shape[1]
    judges = []
    for wide in (all_of - around.shape[1], all_of):
        said, meant, real_rows = ([v[:, :wide] for v in given] for given in (hostile, plain, own))
        judges.append(_judge(said, meant, real_rows, shares))
    return judges


def _judge(
    hostile: Sequence[Array], plain: Sequence[Array], real: Sequence[Array], shares: Sequence[float]
) -> Network:
    """From where it holds and notes is chosen by documents that a fold's fit did not see."""
    order = np.random.default_rng(2).permutation(len(real))
    best = np.full(len(real), -np.inf)
    for fold in range(FOLDS):
        unseen = set(order[fold::FOLDS].tolist())
        seen = [v for place, v in enumerate(real) if place not in unseen]
        network = _fit(hostile, [*plain, *seen])
        for place in unseen:
            if len(real[place]):
                best[place] = network.log_odds(real[place]).max()
    # -inf where nothing is judged: a quantile between two of them is none.
    hold, note = (float(np.quantile(best, 1 - share, method="higher")) for share in shares)
    return replace(_fit(hostile, [*plain, *real]), hold=hold, note=note)


def _put(rng: np.random.Generator, line: Array, into: Sequence[Array]) -> Array:
    """A line as it is seen within one of the documents, drawn."""
    carrier = into[int(rng.integers(len(into)))]
    return seen_in_context(np.concatenate([line, carrier]))[: len(line)]


def _vectors(
    texts: Sequence[Sequence[Part]], read: Read, what: str, progress: Callable[[str], None]
) -> list[Array]:
    """Of each text its judged sentences' or names' vectors, [texts, 384]."""
    found = []
    for number, parts in enumerate(texts):
        if number % 50 == 0:
            progress(f"{what}: {number} of {len(texts)}")
        found.append(embedded([text for _, text in read(parts)], embedder()))
    return found


def _fit(hostile: Sequence[Array], harmless: Sequence[Array]) -> Network:
    """A network that tells them apart."""
    x = torch.tensor(SCALE * np.concatenate([*hostile, *harmless]), dtype=torch.float32)
    wanted = torch.zeros(len(x))
    wanted[: sum(map(len, hostile))] = 1
    weights = torch.where(wanted > 0, HOSTILE_COUNTS, 1.0)
    torch.manual_seed(1)
    inner, out = torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    model = torch.nn.Sequential(inner, torch.nn.ReLU(), torch.nn.Dropout(DROPOUT), out)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    batches = math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(
                model(x[rows])[:, 0], wanted[rows], weight=weights[rows]
            ).backward()
            optimizer.step()
            schedule.step()
    found = (inner.weight, inner.bias, out.weight[0])
    arrays = (tensor.detach().numpy().astype(np.float64) for tensor in found)
    return Network(*arrays, bias=out.bias.item(), hold=np.inf, note=np.inf)
