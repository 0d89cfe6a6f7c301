"""The second source domain: does RL on questions of some places help to answer those of others?

Facts are learned as statements alone; then every fact is asked for once, closed book. Called by
adapt.commands.reproduce_past.
"""

import tempfile
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from adapt.compose import Part, compose
from adapt.reproduce.ledger import Result
from adapt.reproduce.past import PastStudy
from adapt.reproduce.past_ablations import longer
from adapt.reproduce.past_report import MAIN, PLAIN, RANDOM
from adapt.skill.controls import random_like
from adapt.skill.grpo import GrpoSettings
from adapt.skill.policy import lora_over
from adapt.skill.recipe import measure, train_rounds
from adapt.skill.sft import learn
from adapt.skill.source import question_parts
from adapt.skill.vector import CARD, WEIGHTS, save_vector
from store.records import digest_of

SOURCE_SEEDS, TARGET_SEED = (500, 501, 502), 600
"""Worlds of the encyclopedia that RL plays, and those that are asked: the latter plus a seed."""
SHARE = 0.5
"""How much of each run's vector is added up: what each learns by heart of its world differs, what
they share adds."""
SOURCE_PLACES, TARGET_PLACES = 40, 20
"""Of three facts each."""
EPOCHS = 3
"""Times those of an update: statements alone, that are never asked for, take longer to learn."""
GAMES = GrpoSettings(steps=60, tasks_per_step=16, max_new_tokens=24, threads=1)
ALONE = "the vector alone"
CONDITIONS = (PLAIN, MAIN, RANDOM, ALONE)
"""What is asked. The last has learned nothing of the world that is asked: what RL made likely by
itself is no memory."""


def answers(study: PastStudy, seed: int) -> dict[str, Result]:
    """What is answered of one world, by condition; `solved` has a 0 or 1 per fact."""
    (part,) = question_parts(TARGET_SEED + seed, TARGET_PLACES, 1)
    asked = part.held_out(len(part.facts))
    facts = {
        "kind": "questions", "base": study.place.base.digest[:16], "seed": seed,
        "asked": digest_of([one.digest for one in asked])[:16], "update": study.update_digest,
        "epochs": EPOCHS,
    }  # fmt: skip
    place = longer(replace(study.place, seed=seed), EPOCHS)

    def work(condition: str) -> Result:
        name = f"questions-{seed}"
        model: Any = place.model()
        if condition != ALONE:
            learn(place, part.examples(seed), name, study.under(name)).put_into(model)
        added = None if condition == PLAIN else _vector(study)
        if added and condition == RANDOM:
            added = random_like(added, seed)
        rank = GAMES.rank * len(SOURCE_SEEDS)
        with lora_over(model, rank, added) if added else nullcontext(model) as policy:
            played = measure(policy, place.tokenizer, asked, GAMES.max_new_tokens)
        return {"solved": "".join("1" if game.outcome.solved else "0" for game in played)}

    def run(condition: str) -> Result:
        told = {**facts, "vector": None if condition == PLAIN else _made_by(study)}
        if condition in (RANDOM, ALONE):
            told["control"] = condition
        return study.ledger.run(told, lambda: work(condition))

    return {condition: run(condition) for condition in CONDITIONS}


def _made_by(study: PastStudy) -> str:
    """Digest of all that decides the vector of questions."""
    return digest_of([_run_by(study, seed) for seed in SOURCE_SEEDS] + [SHARE])[:16]


def _run_by(study: PastStudy, seed: int) -> str:
    """Digest of all that decides the run on one world."""
    base = study.place.base.digest
    return digest_of([base, study.update_digest, asdict(GAMES), seed, SOURCE_PLACES, EPOCHS])[:16]


def _vector(study: PastStudy) -> dict[str, Tensor]:
    """The sum of a run on each world."""
    runs = [Part(_run(study, seed), SHARE) for seed in SOURCE_SEEDS]
    with tempfile.TemporaryDirectory() as folder:
        return load_file(compose(runs, Path(folder)).path / WEIGHTS)


def _run(study: PastStudy, seed: int) -> Path:
    """What RL on the questions of one world adds, as a vector; learned once per folder."""
    kept = study.place.work / f"questions-{_run_by(study, seed)}"
    if not (kept / CARD).is_file():
        parts = question_parts(seed, SOURCE_PLACES, 1)
        name = f"questions-source-{seed}"
        place = longer(replace(study.place, seed=seed), EPOCHS)
        games = replace(GAMES, seed=seed)
        found, _ = train_rounds(place, parts, games, study.under(name), name=name)
        recipe = {"command": "perennial reproduce past", "grpo": asdict(games)}
        save_vector(found, kept, place.base, domain=name, recipe=recipe, rounds=1, facts={})
    return kept
