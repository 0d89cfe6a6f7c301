"""What a judge is given of a run, and where its words are kept so that no request is made twice.

Judges nothing (adapt.evals.toolbench.judge does). Called by `perennial eval judge`.
"""

import json
import os
from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from adapt.evals.asking import Played
from adapt.evals.items import Item
from adapt.evals.runs.journal import Entry, hold, whole_size, write_line
from adapt.evals.runs.results import Run
from adapt.evals.scoring.marks import Mark
from adapt.evals.toolbench.functions import FINISH
from adapt.evals.toolbench.judge import Answer
from adapt.evals.toolbench.protocol import read_finish
from store.errors import ConfigError
from store.records import Message

VERDICTS = "verdicts.jsonl"
KIND = "toolbench"


def answers_of(run: Run) -> dict[str, Answer]:
    """What each played query came to, by the query's name.

    ConfigError where the run is of another suite, not through, or without transcripts.
    """
    if run.folder is None:
        raise ConfigError(
            f"this report of {run.label} has no transcripts to judge", "name a run's folder"
        )
    if not run.finished:
        raise ConfigError(
            f"{run.folder} is unfinished: {len(run.report.outcomes)} of {run.items} items",
            "let `perennial eval run` end it first: every query counts",
        )
    answers: dict[str, Answer] = {}
    for entry in run.entries():
        if entry.check.get("kind") != KIND:
            raise ConfigError(
                f"{run.folder} is a run of {run.label}", "judge a run of stabletoolbench"
            )
        if entry.messages:
            answers[entry.name] = _answer(entry)
    return answers


def _answer(entry: Entry) -> Answer:
    """From the transcript alone: an outcome has only the beginning of a long answer."""
    asked = [m for m in entry.messages if m["role"] in ("system", "user")][:2]
    item = Item(
        suite=KIND, slice=entry.slice, check=entry.check, name=entry.name,
        messages=tuple(Message(role=m["role"], content=m["content"]) for m in asked),
    )  # fmt: skip
    finishes = [
        call["function"]["arguments"]
        for message in entry.messages
        for call in message.get("tool_calls") or ()
        if call["function"]["name"] == FINISH
    ]
    answered = bool(entry.outcome.answer.strip()) and bool(finishes)
    final = read_finish(finishes[-1]).answer if answered else ""
    mark = Mark(entry.outcome.score, entry.outcome.detail)
    return Answer.of(item, Played(mark, final, entry.messages))


class Words(UserDict[str, str]):
    """A judge's words by request, each a line of a file at once. Made by `open_words`."""

    def __init__(self, file: FileIO, path: Path, judge: str, known: dict[str, str]) -> None:
        super().__init__()
        self.data = known
        self._file = file
        self._path = path
        self._judge = judge

    def __setitem__(self, key: str, words: str) -> None:
        """Keep it. PerennialError when the disk is full."""
        write_line(self._file, self._path, {"request": key, "judge": self._judge, "said": words})
        super().__setitem__(key, words)


@contextmanager
def open_words(folder: Path, judge: str) -> Iterator[Words]:
    """The words of one judge in a run folder, until the block ends.

    A last line that was cut off is dropped: it is asked again. BusyError while another process
    judges this run; ConfigError for a line that cannot be read.
    """
    path = folder / VERDICTS
    with path.open("ab+", buffering=0) as file:
        hold(file, path)
        file.truncate(whole_size(path))
        yield Words(file, path, judge, _read(path, judge))
        os.fsync(file.fileno())


def _read(path: Path, judge: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            told = json.loads(line)
            if told["judge"] == judge:
                known[told["request"]] = str(told["said"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"line {number} of {path} cannot be read", "take that line out: it is asked again"
            ) from error
    return known
