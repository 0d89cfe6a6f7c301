"""`perennial eval ...` run in the test's own process, on a home of the test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import perennial


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)


Run = Callable[..., Ran]


def eval_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> Run:
    """A function that takes the words behind `perennial eval`; no key or home of the environment
    is seen."""
    for name in ("PERENNIAL_HOME", "OPENAI_API_KEY", "SIMULATOR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            perennial.main(["eval", *map(str, arguments), "--home", str(home)])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, str(said.out), str(said.err))

    return run
