"""Commands of `perennial` run in the test's own process."""

import json
from collections.abc import Callable, Sequence
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


def in_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    before: Sequence[str] = (), after: Sequence[str] = (),
) -> Run:  # fmt: skip
    """A function that takes the words between `before` and `after`; no key or home of the
    environment is seen."""
    for name in ("PERENNIAL_HOME", "OPENAI_API_KEY", "SIMULATOR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            perennial.main([*before, *map(str, arguments), *after])
        code = ended.value.code
        assert code is None or isinstance(code, int)
        said = capsys.readouterr()
        return Ran(code or 0, str(said.out), str(said.err))

    return run


def eval_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> Run:
    """The same for the words behind `perennial eval`, on that home."""
    return in_process(capsys, monkeypatch, ("eval",), ("--home", str(home)))
