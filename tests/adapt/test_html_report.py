"""The HTML page: well formed, hostile text harmless, the right numbers, two runs side by side."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from recorded_runs import calling, gold, recorded, saying, suite

from adapt.evals.items import Item
from adapt.evals.runs.html_report import RIGHT_SHOWN, WRONG_SHOWN, page
from adapt.evals.runs.results import open_run
from agent.engine import Reply
from store.errors import ConfigError

HOSTILE = (
    "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
    "{% for x in y %}\x1b[31m\u202e\x00&lt;&amp;\"'"
)
_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page read strictly: every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.text += " "
        assert self._open.pop() == tag, (tag, self._open, self.getpos())

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data


def test_hostile_text_stays_text_wherever_it_comes_from(tmp_path: Path) -> None:
    """In questions, names, answers, calls, details, faults and the model's name."""
    asked = suite(9, about=HOSTILE)
    replies = [
        saying(HOSTILE), calling(HOSTILE), calling(f'{{"n": "{HOSTILE[:40]}"}}', HOSTILE), HOSTILE,
    ]  # fmt: skip

    def reply(item: Item) -> Reply | str:
        return replies[int(item.name[6:]) % 4]

    run = recorded(tmp_path / "a", asked, reply, model=HOSTILE)
    read = Page(page(run))
    assert not {"script", "img", "link", "iframe", "a"} & set(read.tags)
    assert not [pair for pair in read.attributes if pair[0].startswith("on")]
    assert not [v for n, v in read.attributes if n in ("src", "href")]
    assert "<script>alert(1)</script>" in read.text and "{{ 7 * 7 }}" in read.text
    assert not set("\x1b\x00\u202e") & set(read.text)


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    text = page(recorded(tmp_path / "a", suite(3), gold))
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|<script|javascript:", text)
    assert "prefers-color-scheme: dark" in text


def test_the_numbers_are_the_runs(tmp_path: Path) -> None:
    """Nine of twelve right: 0.750, and Wilson's interval; slices with their families."""
    wrong = {"mixed_0": calling("{}"), "mixed_1": saying("no"), "mixed_2": saying("")}
    run = recorded(
        tmp_path / "a", suite(12), lambda i: wrong.get(i.name) or gold(i),
        measures=lambda _: {"f1": 0.25},
    )  # fmt: skip
    read = " ".join(Page(page(run)).text.split())
    assert "0.750 95% interval 0.468 to 0.911, 12 items, 1 invalid replies, f1 0.250" in read
    assert re.search(r"answer 0\.750 0\.301 – 0\.954 4 1 0\.250", read)
    assert re.search(r"call/\* 0\.750 .*call/easy 0\.750 .*call/hard 0\.750", read)
    assert "Not right, the worst first 3" in read and "Right, the first ones 9" in read
    assert "max_tokens 256" in read and "http://127.0.0.1:9/v1" in read


def test_what_was_asked_said_and_wanted_can_be_read(tmp_path: Path) -> None:
    run = recorded(tmp_path / "a", suite(3), lambda i: calling('{"n": 9}'))
    read = " ".join(Page(page(run)).text.split())
    for said in ("Question 1?", "tools: find_tour", 'find_tour { "n": 9 }', "other arguments",
                 "town 2", '"name": "find_tour"'):  # fmt: skip
        assert said in read, said


def test_faults_and_a_run_that_is_not_through_are_told(tmp_path: Path) -> None:
    run = recorded(tmp_path / "a", suite(6), lambda i: "dead" if i.name == "mixed_0" else gold(i))
    read = Page(page(run)).text
    assert "The engine failed on 1 items" in read and "not asked, and in no score" in read
    assert "1.000" in read, "a fault is in no score"
    half = recorded(tmp_path / "b", suite(6), gold, through=False)
    items = tmp_path / "b" / "items.jsonl"
    items.write_bytes(b"".join(items.read_bytes().splitlines(keepends=True)[:4]))
    assert half.folder is not None
    assert "Unfinished: 4 of 6 items" in " ".join(Page(page(open_run(half.folder))).text.split())


def test_many_items_and_endless_answers_give_a_page_that_opens(tmp_path: Path) -> None:
    """Half a thousand wrong answers of half a million characters: a page of a few megabytes."""
    long = "word " * 100_000
    asked = suite(3 * (WRONG_SHOWN + 50))
    run = recorded(
        tmp_path / "a", asked,
        lambda i: saying(long if i.name == "mixed_2" else "no") if i.slice == "answer" else gold(i),
    )  # fmt: skip
    text = page(run)
    assert len(text) < 3_000_000
    read = " ".join(Page(text).text.split())
    assert f"the worst first {WRONG_SHOWN} of {WRONG_SHOWN + 50}" in read
    assert f"the first ones {RIGHT_SHOWN} of 500" in read
    assert "480,000 more characters" in read


def test_two_runs_stand_side_by_side_where_they_differ(tmp_path: Path) -> None:
    asked = suite(12)
    before = recorded(
        tmp_path / "a", asked, lambda i: saying("first") if i.name == "mixed_0" else gold(i),
        model="old",
    )  # fmt: skip
    after = recorded(
        tmp_path / "b", asked, lambda i: saying("second") if i.name == "mixed_2" else gold(i),
        model="new",
    )  # fmt: skip
    read = " ".join(Page(page(after, before)).text.split())
    assert "mixed of new against old, paired by item" in read
    assert "+0.000 from 0.917 to 0.917 over 12 items" in read and "1 won, 1 lost" in read
    lost, won = read.index("Lost 1"), read.index("Won 1")
    assert lost < read.index("mixed_2 right → wrong") < won < read.index("mixed_0 wrong → right")
    assert "second" in read[lost:won] and "first" in read[won:]
    assert read.count("Question 2?") == 1, "what both were asked stands once"
    assert "mixed_5" not in read, "what did not change is left out"


def test_runs_of_different_items_are_refused(tmp_path: Path) -> None:
    one = recorded(tmp_path / "a", suite(6), gold)
    other = recorded(tmp_path / "b", suite(9), gold)
    with pytest.raises(ConfigError, match="different items"):
        page(one, other)
