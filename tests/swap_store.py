"""A store with a base that is live, candidates for it, and engines that serve them or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agent.fake_engine import FakeVllm
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Probe, Version, VersionState, utc_now

PROBE = Probe(prompts=("p",), token_ids=((7, 9),), logprobs=((-0.1, -2.5),))


def opened_store(tmp_path: Path) -> Iterator[Store]:
    """A store whose base is live."""
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home, HashEmbedder()) as opened:
        opened.versions.create(_version("v0-base", 0, "", "base", VersionState.PROMOTED))
        opened.versions.go_live("v0-base")
        yield opened


def _version(
    name: str, number: int, path: str, kind: Literal["base", "adapter"], state: VersionState
) -> Version:
    return Version(
        name=name, number=number, digest=path or "b", kind=kind, base_digest="b",
        template_digest="t", path=path, probe=PROBE if path else None, state=state,
        created_at=utc_now(),
    )  # fmt: skip


def candidate(store: Store, tmp_path: Path, number: int = 1) -> str:
    """A candidate whose artifact is in the store."""
    folder = tmp_path / f"adapter{number}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(bytes([number]))
    digest = store.artifacts.put(folder)
    name = f"v{number}-{digest[:6]}"
    store.versions.create(_version(name, number, digest, "adapter", VersionState.CANDIDATE))
    return name


def fake(right: bool = True) -> FakeVllm:
    """An engine that serves what the probe says, or something else."""
    value = -0.1 if right else -1.4
    return FakeVllm(
        answer=lambda *_: "", served_name="v0-base", logprobs=lambda *_: {7: value, 9: -2.5}
    )
