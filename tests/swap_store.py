"""A store with a base that is live, candidates for it, and engines that serve them or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from adapt.swap import Swapper
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from agent.fleet_member import Member
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Probe, Version, VersionState, utc_now

BASE = "v0-base"
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
    name: str,
    number: int,
    path: str,
    kind: Literal["base", "adapter", "merged"],
    state: VersionState,
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


def merged(store: Store, tmp_path: Path, number: int = 1) -> str:
    """A candidate of whole weights, made from what is live."""
    folder = tmp_path / f"merged{number}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes([number]))
    digest = store.artifacts.put(folder)
    name = f"v{number}-{digest[:6]}"
    version = _version(name, number, digest, "merged", VersionState.CANDIDATE)
    store.versions.create(version.model_copy(update={"parent": live(store)}))
    return name


def fleet_swapper(store: Store, *engines: FakeVllm) -> Swapper:
    """Over engines e0, e1, ... that serve the base and that somebody brings back."""
    members: list[Member] = []
    for place, engine in enumerate(engines):
        member = Member(f"e{place}", Engine(Path("-"), transport=engine), revives=True)
        member.served = member.weights = BASE
        member.ready = True
        members.append(member)
    swapper = Swapper(store, Fleet(members, wait_s=1.0))
    swapper.weights_at = lambda version: (
        store.artifacts.path(version.path) if version.path else Path("/weights/base")
    )
    return swapper


def live(store: Store) -> str:
    """Name of the live version."""
    version = store.versions.live()
    assert version is not None
    return version.name
