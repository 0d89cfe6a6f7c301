"""Versions for the benchmarks of swaps: real adapters of small random rows, and whole weights.

Each is made and probed as an update is, in a child process; its bytes are stored once and stand
under a new version number at every swap, since a name is never used again. Nothing is trained.
Called by adapt.bench.swap and adapt.bench.soak.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, Literal

from adapt.base import BaseModel, find_model
from adapt.cycle_learning import PROBES
from adapt.probe import TOLERANCE, compare
from adapt.stage import run_stage
from store import Store
from store.errors import ModelError
from store.records import Probe, Version, utc_now

Kind = Literal["adapter", "merged"]
ADAPTERS, MERGED = 8, 3
QUOTA = 60.0
SPREAD = 0.01
"""Standard deviation of the rows: enough for the probes to tell versions apart, and too little to
change what the model is able to do."""
SKILL_SCALE = 0.5


@dataclass(frozen=True)
class Bytes:
    """A folder of an adapter or of whole weights, and what it answers."""

    kind: Kind
    path: Path
    probe: Probe


def make(base: BaseModel, folder: Path, progress: Callable[[str], None]) -> list[Bytes]:
    """Adapters, and the first of them as whole weights. ModelError when two answer alike: a swap
    between them would prove nothing."""
    request = {
        "model_dir": str(base.path), "base_digest": base.digest, "width": base.d_model,
        "skill": str(base.skill) if base.skill else None, "questions": list(PROBES),
    }  # fmt: skip
    result = run_stage(
        "adapt.bench.swap_made:make_stage", request, folder, lambda entry: progress(entry["text"])
    )
    made = [
        Bytes(m["kind"], Path(m["path"]), Probe.model_validate(m["probe"])) for m in result["made"]
    ]
    for kind in ("adapter", "merged"):
        probes = [m.probe for m in made if m.kind == kind]
        for one, other in pairwise(probes):
            if compare(one, list(zip(other.token_ids, other.logprobs, strict=True))).ok:
                raise ModelError(f"two of the {kind}s answer alike, within {TOLERANCE}", "")
    return made


def make_stage(request: dict[str, Any], work_dir: Path, progress: Any) -> dict[str, Any]:
    """In the child process: rows, adapters and merged weights, each with its probe."""
    import torch

    from adapt.loki.rows import save_rows
    from adapt.loki.selection import Mask, rows_per_layer
    from adapt.models import load_model
    from adapt.stages import compose_stage, merge_stage

    config = load_model(request["model_dir"]).config
    chosen, noise = random.Random(0), torch.Generator().manual_seed(0)
    width, count = request["width"], rows_per_layer(request["width"], QUOTA)
    rows = tuple(
        tuple(sorted(chosen.sample(range(width), count))) for _ in range(config.num_hidden_layers)
    )
    mask = Mask(rows, width, QUOTA, "random-0", request["base_digest"], "none")
    candidates = []
    for number in range(ADAPTERS):
        deltas = [
            SPREAD * torch.randn(count, config.intermediate_size, generator=noise) for _ in rows
        ]
        save_rows(deltas, mask, work_dir / f"rows-{number}")
        parts = [{"path": str(work_dir / f"rows-{number}"), "scale": 1.0}]
        if request["skill"]:
            parts.append({"path": request["skill"], "scale": SKILL_SCALE})
        candidates.append(parts)
    progress({"text": f"making {ADAPTERS} adapters"})
    own = {"model_dir": request["model_dir"], "questions": request["questions"]}
    made = compose_stage({**own, "candidates": candidates}, work_dir, lambda _: None)["candidates"]
    found = [{"kind": "adapter", "path": m["path"], "probe": m["probe"]} for m in made]
    for number in range(MERGED):
        progress({"text": f"making whole weights, {number + 1} of {MERGED}"})
        folder = work_dir / f"whole-{number}"
        folder.mkdir(exist_ok=True)
        merged = merge_stage({**own, "adapter_dir": made[number]["path"]}, folder, lambda _: None)
        found.append({"kind": "merged", "path": merged["path"], "probe": merged["probe"]})
    return {"made": found}


class Supply:
    """Fresh versions of one kind, the bytes in turn."""

    def __init__(self, store: Store, base: BaseModel, made: list[Bytes], kind: Kind) -> None:
        self._store, self._base = store, base
        self._kind: Kind = kind
        own = [m for m in made if m.kind == kind]
        digests = [store.artifacts.put(m.path) for m in own]
        bases = [find_model(str(m.path)).digest if kind == "merged" else base.digest for m in own]
        self._turns: Iterator[tuple[Bytes, str, str]] = cycle(
            zip(own, digests, bases, strict=True)
        )  # fmt: skip

    def next(self) -> str:
        """The name of a new candidate that was never served."""
        made, digest, base_digest = next(self._turns)
        number = self._store.versions.next_number()
        version = Version(
            name=f"v{number}-{digest[:6]}", number=number, digest=digest, kind=self._kind,
            base_digest=base_digest, template_digest=self._base.template_digest, path=digest,
            parent=self._base.version_name, probe=made.probe, created_at=utc_now(),
        )  # fmt: skip
        self._store.versions.create(version)
        return version.name
