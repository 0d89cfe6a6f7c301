"""`perennial reproduce knowledge`: facts that are learned, then changed, then withdrawn.

Per seed six trainings, each as an update trains: the first documents; new editions of some after
them, with and without leaving out what those supersede; all that holds without the withdrawn
documents, from the base; and the first two without ever seeing these. Single results and rows are
kept, so that a stopped study goes on. Called by adapt.commands.reproduce_knowledge.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from adapt.loki.settings import chosen
from adapt.rehearsal import rehearsed
from adapt.reproduce.arms import DEFAULT
from adapt.reproduce.knowledge_world import KnowledgeWorld, make_knowledge
from adapt.reproduce.ledger import Result
from adapt.reproduce.loki import Study
from agent.config import UpdateSettings
from store.records import Example, digest_of

STEPS = {
    "first": "the first documents",
    "second": "then new editions",
    "mixed": "then new editions, old ones learned again too",
    "rebuilt": "all that holds, twice in an epoch, from the base",
    "never first": "the first documents without the withdrawn",
    "never": "then new editions",
}
"""The trainings by name, and what each learns."""


class KnowledgeStudy(Study):
    """The embedded model, trained on worlds whose facts change."""

    def of_seed(self, seed: int) -> dict[str, Result]:
        """What is `answered` after each step, by what became of the fact: shares of the answers
        that greedy decoding gives word for word."""
        world = make_knowledge(seed)
        run = _Steps(self, world, seed)
        learned, changes = world.learned(), world.changes()
        holding = world.holding(learned, changes)
        run.step("first", learned)
        run.step("second", changes, "first", holding)
        run.step("mixed", changes, "first", learned)
        rebuilt = world.all_that_holds()
        run.step("rebuilt", rebuilt, earlier=rebuilt)
        never = world.learned(without=world.withdrawn)
        run.step("never first", never)
        run.step("never", changes, "never first", world.holding(never, changes))
        return run.results

    def trained_step(
        self, world: KnowledgeWorld, seed: int, learn: Sequence[Example],
        start: list[Tensor] | None, again: Sequence[Example], rows: Path,
    ) -> Result:  # fmt: skip
        """Train one step, keep its rows in a file, and ask everything."""
        began = time.monotonic()
        rate = float(chosen(UpdateSettings())["learning_rate"])
        with self._trained(DEFAULT, rate, seed, list(learn), start, again) as trained:
            seconds = time.monotonic() - began
            moved = {f"{n:04d}": p.detach().clone() for n, p in enumerate(trained.parameters)}
            rows.parent.mkdir(parents=True, exist_ok=True)
            save_file(moved, rows)
            return {
                "answered": self._ask(self._rendered(world.asked)),
                "loss": round(trained.result.last_loss, 4),
                "steps": trained.result.steps,
                "seconds": round(seconds, 1),
            }

    @property
    def identity(self) -> str:
        """Of the model and what it could do before."""
        return self._identity


class _Steps:
    """The steps of one seed, so far as they are done."""

    def __init__(self, study: KnowledgeStudy, world: KnowledgeWorld, seed: int) -> None:
        self._study, self._world, self._seed = study, world, seed
        self._keys: dict[str, str] = {}
        self.results: dict[str, Result] = {}

    def step(
        self, name: str, learn: Sequence[Example], after: str | None = None,
        earlier: Sequence[Example] = (),
    ) -> None:  # fmt: skip
        """Learn examples, after another step where one is named, with some of the earlier ones."""
        study, seed = self._study, self._seed
        settings = chosen(UpdateSettings())
        again = rehearsed(learn, earlier, settings["epochs"], f"{seed}/{name}")
        facts: Result = {
            "kind": "knowledge", "of": study.identity, "step": name, "seed": seed,
            "examples": _digest(learn), "again": _digest(again),
            "after": self._keys.get(after or ""), "settings": digest_of(repr(settings))[:16],
            "asked": digest_of({n: [e.digest for e in a] for n, a in self._world.asked.items()})[
                :16
            ],
        }  # fmt: skip
        key = digest_of(facts)[:16]
        study.progress(f"seed {seed}: {name}, {len(learn)} examples")

        def work() -> Result:
            start = self._rows(after) if after else None
            return study.trained_step(self._world, seed, learn, start, again, self._file(key))

        self.results[name] = study.ledger.run(facts, work)
        if not self._file(key).is_file():
            # Removed, or made elsewhere: what follows begins with these rows.
            work()
        self._keys[name] = key

    def _file(self, key: str) -> Path:
        return self._study.folder / "work" / f"{key}.safetensors"

    def _rows(self, step: str) -> list[Tensor]:
        rows = load_file(self._file(self._keys[step]))
        return [rows[name] for name in sorted(rows)]


def _digest(examples: Sequence[Example]) -> str:
    return digest_of([e.digest for e in examples])[:16]
