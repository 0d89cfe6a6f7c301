"""`perennial bench merge`: the time and memory that whole weights of a base and an adapter take.

A base of random bfloat16 weights in several files, an adapter of every down projection, merged with
shards of several sizes; each run has a process of its own, whose largest memory counts. It measures
no answers. Called by adapt.commands.bench.
"""

import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from adapt.bench import Progress
from adapt.loki.rows import PREFIX, lora_config
from adapt.merge import SHARD_BYTES, merge

LAYERS, WIDTH, FF, RANK = 10, 2048, 8192, 128
MIB = 1 << 20
SHARDS = (SHARD_BYTES // 2, SHARD_BYTES // 8)
_KINDS = ("gate_proj", "up_proj", "down_proj")


def run(progress: Progress) -> dict[str, Any]:
    """`rows`: per size of a shard, seconds and MiB of memory beyond those of the process alone."""
    with tempfile.TemporaryDirectory(prefix="perennial-merge-") as folder:
        base, adapter = Path(folder, "base"), Path(folder, "adapter")
        progress("writing a random model")
        _write(base, adapter)
        size = sum(f.stat().st_size for f in base.glob("*.safetensors"))
        rows = []
        for shard in SHARDS:
            progress(f"merging with shards of {shard // MIB} MiB")
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                took = pool.apply(_merged, (base, adapter, Path(folder, "out"), shard))
            rows.append({"shard_mib": shard // MIB} | took)
    return {"model_mib": size // MIB, "adapter_rank": RANK, "layers": LAYERS, "rows": rows}


def _merged(base: Path, adapter: Path, out: Path, shard: int) -> dict[str, Any]:
    before, began = _peak_mib(), time.monotonic()
    done = merge(base, adapter, out, max_shard_bytes=shard)
    seconds = time.monotonic() - began
    return {
        "files": done.shards, "seconds": round(seconds, 1),
        "mib_per_second": round(done.bytes / MIB / seconds),
        "process_mib": before, "peak_mib_beyond": _peak_mib() - before,
    }  # fmt: skip


def _peak_mib() -> int:
    """The most memory that this process has had; the kernel counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _write(base: Path, adapter: Path) -> None:
    """One file per layer, with an index, as large models come."""
    for folder in (base, adapter):
        folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    files: dict[str, str] = {}
    changes: dict[str, torch.Tensor] = {}
    for layer in range(LAYERS):
        module = f"model.layers.{layer}.mlp"
        shapes = {kind: (FF, WIDTH) if kind != "down_proj" else (WIDTH, FF) for kind in _KINDS}
        weights = {
            f"{module}.{kind}.weight": torch.randn(shape, generator=generator).bfloat16()
            for kind, shape in shapes.items()
        }
        file = f"model-{layer:05d}.safetensors"
        save_file(weights, base / file, {"format": "pt"})
        files |= dict.fromkeys(weights, file)
        half = {"lora_A": (RANK, FF), "lora_B": (WIDTH, RANK)}
        changes |= {
            f"{PREFIX}{module}.down_proj.{kind}.weight": torch.randn(shape, generator=generator)
            for kind, shape in half.items()
        }
    index = {"metadata": {}, "weight_map": files}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file(changes, adapter / "adapter_model.safetensors", {"format": "pt"})
    (adapter / "adapter_config.json").write_text(lora_config(RANK, ["down_proj"], "b" * 64))
