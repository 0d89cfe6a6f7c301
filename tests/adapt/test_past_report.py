"""How gains are counted: pairs of the same tasks, and intervals over categories."""

import pytest

from adapt.reproduce.past import TARGETS, Condition
from adapt.reproduce.past_report import (
    category_row,
    condition_row,
    draw_gains,
    gains,
    question_rows,
)


def result(solved: str, kinds: str = "smcn") -> dict:
    return {"solved": solved, "kinds": list(kinds), "malformed": 0}


RUNS = {
    "plain": {"A": [result("0100"), result("0000")], "B": [result("1000"), result("1000")]},
    "with": {"A": [result("1110"), result("1000")], "B": [result("1000"), result("0000")]},
}


def test_a_gain_is_of_the_same_task_in_every_seed() -> None:
    assert gains(RUNS["with"]["A"], RUNS["plain"]["A"]) == [1.0, 0.0, 0.5, 0.0]
    row = category_row("A", RUNS, "plain", "with")
    assert (row["without"], row["with"]) == (0.125, 0.5)
    assert row["gain"][0] == pytest.approx(0.375)


def test_a_condition_is_averaged_over_categories() -> None:
    row = condition_row("with", RUNS, "plain")
    assert row["solved"][0] == pytest.approx((0.5 + 0.125) / 2)
    assert row["gain"][0] == pytest.approx((0.375 - 0.125) / 2)
    assert row["gain"][1] < row["gain"][0] < row["gain"][2]
    assert row["up"] == 0.5
    assert row["single"] == pytest.approx(3 / 4)
    assert row["none"] == 0.0


def test_without_anything_added_there_is_no_gain() -> None:
    assert condition_row("plain", RUNS, "plain")["gain"] == (0.0, 0.0, 0.0)


def test_the_picture_has_a_pair_of_bars_per_category(tmp_path) -> None:
    rows = [category_row(c, RUNS, "plain", "with") for c in ("A", "B")]
    draw_gains(rows, tmp_path / "gains.png")
    assert (tmp_path / "gains.png").read_bytes().startswith(b"\x89PNG")


def test_questions_are_paired_by_fact_over_all_seeds() -> None:
    asked = [
        {"plain": result("0101"), "with": result("1101")},
        {"plain": result("0000"), "with": result("1000")},
    ]
    plain, row = question_rows(asked, "plain")
    assert (row["condition"], row["seeds"], row["facts"]) == ("with", 2, 4)
    assert (plain["solved"][0], row["solved"][0], row["gain"][0]) == (2 / 8, 4 / 8, 2 / 8)
    assert row["gain"][1] < row["gain"][0] < row["gain"][2]


def test_a_condition_is_run_on_its_share_of_the_study() -> None:
    narrow = Condition("x", "nothing", seeds=1, categories=2)
    assert [c for c in TARGETS if narrow.takes(c, 1)] == list(TARGETS[:2])
    assert not narrow.takes(TARGETS[0], 2)
    wide = Condition("y", "vector")
    assert all(wide.takes(c, seed) for c in TARGETS for seed in (1, 2, 3))
