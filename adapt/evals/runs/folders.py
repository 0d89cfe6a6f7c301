"""Run folders: one suite asked of one model, so that it can go on, be read and be compared.

    run.json      what is asked: suite, model, decoding; written first, and no secrets in it
    items.jsonl   finished items (adapt.evals.runs.journal)
    report.json   the EvalReport, written last: where it has no engine faults, the run is finished

Asks nothing. Called by the command line; finished runs are read by adapt.evals.runs.results.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from adapt.evals.runs.journal import check_journal, open_journal
from store.errors import ConfigError, NotFoundError
from store.evidence import EvalReport
from store.files import write_atomic
from store.records import Record, digest_of, utc_now

RUN, ITEMS, REPORT = "run.json", "items.jsonl", "report.json"
_R = TypeVar("_R", bound=Record)
_NAMED = ("label", "limit", "sample", "setting", "source", "endpoint", "model", "decoding")
"""Fields that tell one run from another; a run goes on only where all of them are the same."""


class Asked(Record):
    """What a run asks of whom."""

    label: str
    """The suite as the command line names it, such as `pico/single`."""
    suite: str
    suite_digest: str
    items: int
    limit: int | None = None
    sample: int | None = None
    setting: dict[str, Any] = Field(default_factory=dict)
    """How the items are played, where that can be chosen; what of it changes a question or a reply
    is in the suite's digest too."""
    source: Literal["version", "model", "endpoint"]
    """A version of a home, a model alone, or an endpoint that is not ours."""
    model: str
    """What the engine calls it."""
    shown: str = ""
    """What a person calls it, where that differs."""
    endpoint: str = ""
    decoding: dict[str, Any]
    created_at: datetime = Field(default_factory=utc_now)

    @property
    def folder_name(self) -> str:
        """Names of people, and eight digits that no other run has."""
        named = digest_of([getattr(self, name) for name in _NAMED])
        parts = (plain_name(self.label), plain_name(self.model)[:60], named[:8])
        return "-".join(parts)


class RunFolder:
    """The folder of one run. Nothing is made on disk before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.items = path / ITEMS

    def check(self, asked: Asked, *, fresh: bool = False) -> EvalReport | None:
        """The report where the run is finished; None where items are still to be asked.

        Changes nothing. ConfigError where the folder is of another run, its suite was edited or a
        line of it cannot be read, unless the run is to be `fresh`; and where it is no run folder at
        all. BusyError while another process fills it.
        """
        if not (self.path / RUN).is_file():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise ConfigError(
                    f"{self.path} is not empty and no run folder: it has no {RUN}",
                    "give an empty folder, or one that a run has begun",
                )
            return None
        if fresh:
            return None
        self._check(self.asked(), asked)
        report = self.report()
        if report and not any(o.error for o in report.outcomes):
            return report
        check_journal(self.items)
        return None

    def begin(self, asked: Asked, *, fresh: bool = False) -> Path | None:
        """Make the folder where there is none. A begun one is kept under another name, which is
        returned, where the run is to be `fresh`."""
        aside = self._move_away() if fresh and self.path.is_dir() else None
        if not (self.path / RUN).is_file():
            write_atomic(self.path / RUN, asked.model_dump_json(indent=1))
        return aside

    def _check(self, begun: Asked, asked: Asked) -> None:
        for name in _NAMED:
            before, now = getattr(begun, name), getattr(asked, name)
            if before != now:
                raise ConfigError(
                    f"{self.path} is of another run: its {name} is {before!r}, not {now!r}",
                    "choose another --out, or begin anew with --fresh, which keeps the old folder",
                )
        if begun.suite_digest != asked.suite_digest:
            raise ConfigError(
                f"the suite {asked.label} was edited between the two runs: {self.path} asks "
                f"{begun.items} items of digest {begun.suite_digest[:12]}, it now has "
                f"{asked.items} of {asked.suite_digest[:12]}",
                "begin anew with --fresh, which keeps the old folder under another name",
            )

    def _move_away(self) -> Path:
        """Give the folder the next free name. BusyError while another process fills it."""
        with open_journal(self.items, lambda _: None):
            number = 1
            while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
                number += 1
            return self.path.rename(aside)

    def asked(self) -> Asked:
        """What is asked here. NotFoundError where this is no run folder."""
        return _read(Asked, self.path / RUN)

    def report(self) -> EvalReport | None:
        """The report; None where the run is not through."""
        file = self.path / REPORT
        return _read(EvalReport, file) if file.is_file() else None

    def finish(self, report: EvalReport) -> None:
        """Write the report, whole or not at all."""
        write_atomic(self.path / REPORT, report.model_dump_json(indent=1))


def plain_name(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "model"


def _read(kind: type[_R], file: Path) -> _R:
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{file.parent} is no run folder: it has no {file.name}", "perennial eval run makes one"
        ) from error
    except (OSError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise ConfigError(
            f"{file} cannot be read: {why}", "begin that run anew with --fresh"
        ) from error
