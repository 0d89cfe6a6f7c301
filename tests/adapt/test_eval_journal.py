"""Journals of runs: what is written comes back, whatever cuts a run off or a person breaks."""

import json
import time
from pathlib import Path

import pytest

from adapt.evals.asking import Played
from adapt.evals.items import Item
from adapt.evals.runs.journal import FileJournal, check_journal, open_journal, read_entries
from adapt.evals.scoring.marks import RIGHT
from adapt.evals.suites import general_suite
from store.errors import BusyError, ConfigError
from store.evidence import ItemOutcome

ITEMS = general_suite(5, 4).items


def fill(journal: FileJournal, items: tuple[Item, ...], error: str | None = None) -> None:
    for item in items:
        outcome = ItemOutcome(
            item=item.digest, slice=item.slice, score=0.0 if error else 1.0, error=error,
            valid=error is None, answer="ß\u2028", measures={} if error else {"f1": 1 / 3},
        )  # fmt: skip
        talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "ß\u2028"}]
        played = None if error else Played(RIGHT, "ß\u2028", talk, 7, 3)
        journal.add(item, outcome, played, 0.25)


def warnings(path: Path) -> tuple[list[str], dict[str, ItemOutcome]]:
    """What opening a journal warns of, and what it knows then."""
    said: list[str] = []
    with open_journal(path, said.append) as journal:
        return said, dict(journal.known())


def test_what_was_added_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    tool = {"type": "function", "function": {"name": "find", "parameters": {}}}
    item = ITEMS[0].model_copy(update={"tools": (tool,), "name": "general_0"})
    with open_journal(path, pytest.fail) as journal:
        assert journal.known() == {}
        fill(journal, (item,))
        # Nothing waits in a buffer: another reader sees it while the run goes on.
        (entry,) = read_entries(path)
    assert (entry.item, entry.name, entry.slice) == (item.digest, "general_0", item.slice)
    assert entry.messages[-1] == {"role": "assistant", "content": "ß\u2028"}
    assert (entry.tools, entry.check) == (("find",), item.check)
    assert (entry.prompt_tokens, entry.completion_tokens, entry.seconds) == (7, 3, 0.25)
    assert warnings(path) == ([], {item.digest: entry.outcome})
    assert entry.outcome.measures == {"f1": 1 / 3}


def test_a_last_line_cut_anywhere_costs_that_item_alone(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with open_journal(path, pytest.fail) as journal:
        fill(journal, ITEMS)
    whole = path.read_bytes()
    first = len(b"".join(whole.splitlines(keepends=True)[:3]))
    for cut in [first + 1, (first + len(whole)) // 2, len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        assert len(list(read_entries(path))) == 3
        said, known = warnings(path)
        assert list(known) == [i.digest for i in ITEMS[:3]]
        assert len(said) == 1 and str(path) in said[0] and "cut off" in said[0]
        with open_journal(path, pytest.fail) as journal:
            fill(journal, ITEMS[3:])
        assert [e.item for e in read_entries(path)] == [i.digest for i in ITEMS]


def test_a_line_that_was_whole_and_is_broken_now_is_an_error_with_its_number(
    tmp_path: Path,
) -> None:
    path = tmp_path / "items.jsonl"
    with open_journal(path, pytest.fail) as journal:
        fill(journal, ITEMS)
    lines = path.read_bytes().splitlines(keepends=True)
    entry = json.loads(lines[1])
    del entry["slice"]
    deep = b'{"item": ' + b"[" * 100_000 + b"\n"
    for broken, why in [
        (lines[1][:20] + b"\n", "no JSON"), (b"\n", "no JSON"), (b"[1]\n", "dictionary"),
        (json.dumps(entry).encode() + b"\n", "slice: Field required"), (deep, "no JSON"),
        (b"\xff\xfe\n", "no JSON"),
    ]:  # fmt: skip
        path.write_bytes(b"".join([lines[0], broken, *lines[2:]]))
        for opens in (lambda: warnings(path), lambda: check_journal(path)):
            with pytest.raises(ConfigError, match=f"line 2 of .*{why}") as refused:
                opens()
            assert "asked again" in refused.value.hint


def test_an_item_with_a_fault_is_asked_again_and_the_later_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with open_journal(path, pytest.fail) as journal:
        fill(journal, ITEMS[:1], error="the engine is dead")
        fill(journal, ITEMS[1:2])
    assert list(warnings(path)[1]) == [ITEMS[1].digest]
    with open_journal(path, pytest.fail) as journal:
        fill(journal, ITEMS[:1])
    known = warnings(path)[1]
    assert known[ITEMS[0].digest].error is None and len(known) == 2


def test_an_answer_of_a_hundred_thousand_words_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    text = 'line\n"\u2028\x00 ' * 100_000
    talk = [{"role": "assistant", "content": text}]
    outcome = ItemOutcome(item=ITEMS[0].digest, slice="s", score=0.0, answer=text[:400])
    with open_journal(path, pytest.fail) as journal:
        journal.add(ITEMS[0], outcome, Played(RIGHT, text, talk), 1.0)
        fill(journal, ITEMS[1:2])
    first, second = read_entries(path)
    assert first.messages[0]["content"] == text and second.item == ITEMS[1].digest


def test_two_processes_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with open_journal(path, pytest.fail):
        for opens in (lambda: warnings(path), lambda: check_journal(path)):
            with pytest.raises(BusyError, match=r"items\.jsonl"):
                opens()
    check_journal(path)


def test_the_time_at_work_adds_up_over_the_parts_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with open_journal(path, pytest.fail) as journal:
        time.sleep(0.05)
        fill(journal, ITEMS[:1])
    (first,) = read_entries(path)
    time.sleep(0.5)
    with open_journal(path, pytest.fail) as journal:
        # The pause between the parts is no work.
        assert 0.05 <= first.elapsed <= journal.elapsed < first.elapsed + 0.5
        fill(journal, ITEMS[1:2])
    assert list(read_entries(path))[1].elapsed >= first.elapsed
