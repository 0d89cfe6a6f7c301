"""A home with a made-up history: versions of all kinds and states, cycles, masks, artifacts.

For tests of what is cleared away; nothing is trained, every artifact is a small file.
"""

import random
from dataclasses import dataclass, field

from fake_runtime import BASE

from adapt.runtime import ensure_base
from store import Store
from store.records import (
    CycleStage,
    CycleState,
    SkillUse,
    SkillVector,
    Update,
    Version,
    VersionState,
    utc_now,
)

_ENDS = (CycleState.PROMOTED, CycleState.PROMOTED, CycleState.REJECTED, CycleState.FAILED)


@dataclass
class History:
    """Grows a store by random events. `pinned` are versions that runs are bound to."""

    store: Store
    random: random.Random
    pinned: set[str] = field(default_factory=set)
    skills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ensure_base(self.store, BASE)

    def grow(self, events: int) -> None:
        """So many random events."""
        kinds = (self.cycle, self.cycle, self.cycle, self.consolidate, self.roll_back, self.pin,
                 self.promote_again)  # fmt: skip
        for _ in range(events):
            self.random.choice(kinds)()

    def artifact(self, text: str) -> str:
        """An artifact of some size."""
        folder = self.store.home.path / "made"
        folder.mkdir(exist_ok=True)
        (folder / "weights").write_text(text + "x" * self.random.randrange(20_000))
        return self.store.artifacts.put(folder)

    def cycle(self) -> None:
        """An update that ends somehow: mask, rows, a version, a folder with leftovers."""
        store = self.store
        number = store.cycles.start({}).number
        mask = f"{self.random.randrange(3)}" * 64
        folder = store.home.path / "masks" / mask[:16]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mask.json").write_text("{}")
        work = store.home.cycles / f"{number:04d}" / "implant" / "child"
        work.mkdir(parents=True)
        for name in ("log.txt", "rows", "error.json"):
            (work / name).write_text(name)
        rows = self.artifact(f"rows {number} ")
        self._stage(number, CycleStage.ATTRIBUTE,
                    {"mask": mask, "mask_path": str(folder / "mask.json")})  # fmt: skip
        store.versions.add_update(_update(rows, mask))
        self._stage(number, CycleStage.IMPLANT, {"update": rows})
        end = self.random.choice(_ENDS)
        if end is not CycleState.FAILED:
            made = self.version("adapter", update=rows)
            self._stage(number, CycleStage.COMPOSE, {"version": made.name, "digest": made.path})
            if end is CycleState.PROMOTED:
                self._go_live(made.name)
            elif self.random.random() < 0.8:
                store.versions.move(made.name, VersionState.REJECTED)
        store.cycles.finish(number, end)

    def consolidate(self) -> None:
        """Merged weights become what is live."""
        self._go_live(self.version("merged", update=None).name)

    def roll_back(self) -> None:
        """Back to what was live before, if anything was and can still be served."""
        target = self.store.versions.before_live()
        if target is not None and self.has_weights(target):
            self.store.versions.roll_back()

    def pin(self) -> None:
        """A run begins on some version; another one's ends."""
        names = [v.name for v in self.store.versions.list() if self.has_weights(v)]
        if names:
            self.pinned = {self.random.choice(names)}

    def promote_again(self) -> None:
        """An earlier version that has its weights is made live by a person."""
        states = (VersionState.RETIRED, VersionState.ROLLED_BACK)
        found = [v for v in self.store.versions.list() if v.state in states and self.has_weights(v)]
        if found:
            self.store.versions.go_live(self.random.choice(found).name)

    def has_weights(self, version: Version) -> bool:
        """Whether a version can be served: its own bytes are there."""
        return not version.path or version.path in self.store.artifacts.digests()

    def version(self, kind: str, update: str | None) -> Version:
        """A candidate on top of what is live, some with a skill vector."""
        versions = self.store.versions
        number, live = versions.next_number(), versions.live()
        digest = self.artifact(f"{kind} {number} ")
        skills = (SkillUse(vector=self.skill(), scale=1.0),) if self.random.random() < 0.3 else ()
        made = Version.model_validate({
            "name": f"v{number}-{digest[:6]}", "number": number, "digest": digest, "kind": kind,
            "base_digest": BASE.digest, "template_digest": BASE.template_digest,
            "parent": live.name if live else None, "update": update, "path": digest,
            "skills": skills, "created_at": utc_now(),
        })  # fmt: skip
        versions.create(made)
        return made

    def skill(self) -> str:
        """A skill vector whose files are an artifact."""
        if not self.skills or self.random.random() < 0.3:
            digest = self.artifact(f"skill {len(self.skills)} ")
            vector = SkillVector(digest=digest, base_digest=BASE.digest, domain="tools", rounds=1,
                                 template_digest=BASE.template_digest, recipe={})  # fmt: skip
            self.store.versions.add_skill(vector)
            self.skills.append(digest)
        return self.random.choice(self.skills)

    def _go_live(self, name: str) -> None:
        self.store.versions.move(name, VersionState.PROMOTED)
        self.store.versions.go_live(name)

    def _stage(self, number: int, stage: CycleStage, outputs: dict[str, object]) -> None:
        self.store.cycles.stage_started(number, stage, {})
        self.store.cycles.stage_done(number, stage, outputs, 1.0)


def _update(digest: str, mask: str) -> Update:
    return Update(digest=digest, base_digest=BASE.digest, mask_digest=mask, corpus_digest="c" * 64,
                  examples_digest="e" * 64, settings={}, seed=0, created_at=utc_now())  # fmt: skip
