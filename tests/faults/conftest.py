"""What the fault tests share: a model, documents, and homes that died at every point of a cycle."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.chain import Chain, Learned
from faults.invariants import TALLY
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
def chain(learned: Learned) -> Chain:
    """One home whose process is killed at one point after the other."""
    return Chain(learned)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a test has its home; nothing is left of it."""
    yield tmp_path / "home"
    shutil.rmtree(tmp_path, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was injected and checked."""
    if TALLY.injected:
        terminalreporter.section("faults")
        for fault, times in sorted(TALLY.injected.items()):
            terminalreporter.write_line(f"{times:4} x {fault}")
        terminalreporter.write_line(TALLY.line())
