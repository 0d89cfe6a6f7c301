"""What the fault tests share: a model, documents, and homes that died at every point of a cycle."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.chain import Chain, Learned, Together, Waiting
from faults.invariants import TALLY
from faults.trainers import DISKS, STAGES, killed, on_a_full_disk
from tiny_models import build_tiny_model, write_general_corpus

from adapt.evals.encyclopedia import articles
from tools.virtual_api.catalogue import build_catalogue


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A tiny base, and a folder with the documents to learn, one of which cannot be read."""
    root = tmp_path_factory.mktemp("faults")
    model = build_tiny_model(root / "model", max_length=1024)
    write_general_corpus(model)
    inbox = root / "inbox"
    inbox.mkdir()
    tool = build_catalogue(0).category("Museums")[0]
    (inbox / "tool.json").write_text(json.dumps(tool.to_json()))
    for name, text in articles(3, 4).items():
        (inbox / name).write_text(text)
    (inbox / "broken.json").write_text("{")
    return Learned(root, model, inbox)


@pytest.fixture(scope="session")
def chain(learned: Learned) -> Iterator[Chain]:
    """One home whose process is killed at one point after the other."""
    made = Chain(learned)
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _begun(request: pytest.FixtureRequest) -> None:
    """Where a test will need the chain, its processes die beside the tests that do not."""
    needed = [_needs(item) for item in request.session.items]
    if any(needed):
        request.getfixturevalue("chain").begin()
    if max(needed, default=0) > 1:
        request.getfixturevalue("trainers")


def _needs(item: pytest.Item) -> int:
    """1 for the chain, 2 for what takes longest."""
    names = getattr(item, "fixturenames", ())
    return 2 if "trainers" in names else int("chain" in names)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of this folder, those whose work is done beside the others come last."""
    here = Path(__file__).parent
    places = [place for place, item in enumerate(items) if here in item.path.parents]
    ordered = sorted((items[place] for place in places), key=_needs)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    """Does what several tests wait for, two at a time."""
    with ThreadPoolExecutor(2) as pool:

        def begin(work: Callable[..., None], cases: Iterable[Any]) -> Waiting:
            return {
                case: pool.submit(
                    work, tmp_path_factory.mktemp("home") / "home",
                    *(case if isinstance(case, tuple) else (case,)),
                )
                for case in cases
            }  # fmt: skip

        yield begin


@pytest.fixture(scope="session")
def trainers(chain: Chain, together: Together) -> Waiting:
    """Trainers that die or find their disk full; begun with the chain, and done as it goes on."""
    return together(partial(killed, chain), STAGES) | together(
        partial(on_a_full_disk, chain), DISKS
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a test has its home."""
    return tmp_path / "home"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was injected and checked."""
    if TALLY.injected:
        terminalreporter.section("faults")
        for fault, times in sorted(TALLY.injected.items()):
            terminalreporter.write_line(f"{times:4} x {fault}")
        terminalreporter.write_line(TALLY.line())
