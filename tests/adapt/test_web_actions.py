"""What the pages are told of a cycle: gate report with slices and examples, scores, losses."""

import asyncio
from pathlib import Path
from typing import Any

from page_evidence import DOCUMENT, GENERAL, HELD_OUT, LOST, judged_home, question
from pages import Visitor
from trial_runtime import served, worker

from adapt.loki.step_log import read_steps
from adapt.web_judged import Judged
from adapt.web_scores import Scores


def on_home(home: Path, work: Any) -> Any:
    """`work` with a served home whose first cycle was judged."""

    async def go() -> Any:
        async with served(home, worker({})) as service:
            return await work(service, judged_home(service.runtime.store))

    return asyncio.run(asyncio.wait_for(go(), 120))


def test_a_gate_report_is_told_with_slices_and_examples(tmp_path: Path) -> None:
    """Slices add up to the items, the greatest loss first; examples have question and answers of
    both versions, and what a right answer is."""

    async def look(service: Any, report: Any) -> None:
        told = Judged(service.runtime)(report.digest)
        assert told is not None and told["verdict"] == report.verdict.value
        tests = {test["suite"]: test for test in told["tests"]}
        learned, general = tests["learned"], tests["general"]
        assert [(row["slice"], row["items"]) for row in learned["slices"]] == [("qa", HELD_OUT)]
        assert sum(row["items"] for row in general["slices"]) == GENERAL
        changes = [row["candidate"] - row["live"] for row in general["slices"]]
        assert changes == sorted(changes) and changes[0] < 0
        kinds = {group["kind"]: group for group in general["examples"]}
        assert (kinds["lost"]["count"], kinds["right"]["count"]) == (LOST, GENERAL - LOST)
        gained = learned["examples"][0]
        assert (gained["kind"], gained["count"]) == ("gained", HELD_OUT)
        asked = {question(number) for number in range(HELD_OUT)}
        first = gained["items"][0]
        assert first["question"] in asked and first["wanted"].startswith("hue ")
        assert (first["live"]["score"], first["candidate"]["score"]) == (0, 1)

    on_home(tmp_path, look)


def test_a_question_that_was_taken_back_is_not_told(tmp_path: Path) -> None:
    """The answers stay; the question of a document that is withdrawn does not come back."""

    async def look(service: Any, report: Any) -> None:
        store = service.runtime.store
        store.documents.withdraw(DOCUMENT)
        told = Judged(service.runtime)(report.digest)
        assert told is not None
        learned = next(test for test in told["tests"] if test["suite"] == "learned")
        assert learned["examples"][0]["items"][0]["question"] is None

    on_home(tmp_path, look)


def test_an_unknown_report_is_none(tmp_path: Path) -> None:
    async def look(service: Any, report: Any) -> None:
        assert Judged(service.runtime)("0" * 64) is None

    on_home(tmp_path, look)


def test_scores_are_one_row_for_each_version_and_suite(tmp_path: Path) -> None:
    """With an interval that holds the mean. What a version was asked later, with other questions,
    is not its examination; the same questions asked to their end are."""

    async def look(service: Any, report: Any) -> None:
        store = service.runtime.store
        scores = Scores(store)

        def rows() -> dict[tuple[str, str], Any]:
            return {(row["version"], row["suite"]): row for row in scores(9)["rows"]}

        before = rows()
        assert len(before) == 4
        assert before[report.candidate, "learned"]["mean"] == 1.0
        assert all(row["low"] <= row["mean"] <= row["high"] for row in before.values())
        own = next(r for r in store.reports.evals_of(report.candidate) if r.suite == "learned")
        worse = tuple(o.model_copy(update={"score": 0.0}) for o in own.outcomes)
        later = {"digest": "e" * 64, "suite_digest": "other", "outcomes": worse * 2}
        store.reports.add_eval(own.model_copy(update=later))
        assert rows() == before
        more = {"digest": "f" * 64, "outcomes": own.outcomes * 2}
        store.reports.add_eval(own.model_copy(update=more))
        assert rows()[report.candidate, "learned"]["items"] == 2 * HELD_OUT

    on_home(tmp_path, look)


def test_only_the_newest_versions_are_read(tmp_path: Path) -> None:
    """However many there were, a page reads as many as it shows, and says how many there are."""

    async def look(service: Any, report: Any) -> None:
        told = Scores(service.runtime.store)(1)
        assert {row["version"] for row in told["rows"]} == {report.candidate}
        assert told["versions"] == 2

    on_home(tmp_path, look)


def test_a_log_of_losses_is_read_while_it_grows(tmp_path: Path) -> None:
    """A line that is half written is left for the next look; no log is no steps."""
    file = tmp_path / "loss.jsonl"
    assert read_steps(file) == []
    file.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [step["step"] for step in read_steps(file)] == [1]


def test_the_pages_show_the_evidence_and_escape_it(tmp_path: Path) -> None:
    """The cycle's page has the verdict, every suite, examples and the loss."""

    async def look(service: Any, report: Any) -> None:
        visitor = Visitor(service.client)
        cycle = (await visitor.get("/learning/cycles/1")).text
        for part in ("Gate report", "learned", "general", "&lt;b&gt;colour&lt;/b&gt;", "<polyline"):
            assert part in cycle, part
        assert "<b>colour" not in cycle and "<i>v" not in cycle
        assert "broken.json" in cycle
        evals = (await visitor.get("/evals")).text
        assert evals.count('class="trend"') == 2
        assert report.candidate in (await visitor.get("/learning/history")).text

    on_home(tmp_path, look)
