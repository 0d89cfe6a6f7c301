"""The geometry of the pages' pictures, and texts as they are shown."""

from datetime import timedelta
from typing import Any

import pytest
from fake_runtime import BASE

from agent.web.charts import loss_curve, places, range_of, scale_of, scales_of, trend
from agent.web.frame import own_path
from agent.web.words import MOST, ago, counted, lasted, markdown, shown, when
from store.records import Version, utc_now


def version(number: int, parent: int | None) -> Version:
    """A version by its number, with a parent by its."""
    return Version(
        name=f"v{number}", number=number, digest=f"{number:064x}", kind="adapter",
        base_digest=BASE.digest, template_digest=BASE.template_digest, created_at=utc_now(),
        parent=None if parent is None else f"v{parent}",
    )  # fmt: skip


def lanes(parents: dict[int, int | None]) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Lane, lanes that pass and lanes that join, newest first."""
    made = [version(number, parent) for number, parent in sorted(parents.items(), reverse=True)]
    return [(place.lane, place.through, place.joins) for place in places(made)]


def test_one_line_has_one_lane() -> None:
    assert lanes({0: None, 1: 0, 2: 1}) == [(0, (), ())] * 3


def test_siblings_have_lanes_of_their_own_and_join_at_their_parent() -> None:
    """v1 and v2 both come from v0: v2's lane passes v1, and v1's ends at v0."""
    assert lanes({0: None, 1: 0, 2: 0}) == [(0, (), ()), (1, (0,), ()), (0, (), (1,))]


def test_a_lane_that_has_ended_is_used_again() -> None:
    """Ten refused siblings one after another do not make ten columns."""
    parents: dict[int, int | None] = {0: None}
    for number in range(1, 21, 2):
        parents[number] = number - 1 if number == 1 else number - 2
        parents[number + 1] = parents[number]
    assert max(lane for lane, *_ in lanes(parents)) <= 2


def test_a_parent_that_is_not_shown_ends_the_line() -> None:
    place = places([version(5, 4)])[0]
    assert not place.goes_on and not place.rises


def entries(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"step": i + 1, "steps": count, "loss": 3.0 / (i + 1)} | changes for i in range(count)]


def test_a_loss_needs_two_steps() -> None:
    assert loss_curve([]) is None and loss_curve(entries(1)) is None


def test_a_loss_stays_inside_its_picture_and_ends_at_the_last_step() -> None:
    """However many steps, few points; and a loss that never changes divides by nothing."""
    curve = loss_curve(entries(5000))
    assert curve is not None
    points = [tuple(map(float, pair.split(","))) for pair in curve.points.split()]
    assert len(points) < 300
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in points)
    assert points[-1][0] == 100.0
    flat = loss_curve(entries(3, loss=1.0))
    assert flat is not None and flat.low == flat.high == 1.0


def test_a_scale_holds_every_interval_and_margin() -> None:
    tests = [
        {"interval": (-0.3, 0.1), "margin": 0.06}, {"interval": (0.7, 0.9), "margin": 0.0},
    ]  # fmt: skip
    scale = scale_of(tests)
    assert scale.at(0) == 50
    assert 0 <= scale.at(-0.3) < 50 < scale.at(0.9) <= 100
    assert scale.at(-7) == 0 and scale.at(7) == 100
    assert scale_of([]).at(0.0) == 50


def test_gains_do_not_hide_losses() -> None:
    """Each kind of claim has a scale of its own; no report has none."""
    tests = [
        {"kind": "superiority", "interval": (0.7, 0.9), "margin": 0.0},
        {"kind": "non_inferiority", "interval": (-0.05, 0.0), "margin": 0.06},
    ]
    scales = scales_of({"tests": tests})
    assert scales["superiority"].reach > 0.9 > 0.2 > scales["non_inferiority"].reach
    assert scales_of(None) == {}


def test_a_chart_shows_every_interval_and_not_less_than_a_fifth() -> None:
    for low, high in ((0.0, 0.05), (0.98, 1.0), (0.41, 0.79), (0.5, 0.5), (0.0, 1.0), (0.3, 0.4)):
        shown = range_of([{"low": low, "high": high}])
        assert 0 <= shown.low <= low <= high <= shown.high <= 1 + 1e-9
        assert shown.high - shown.low > 0.199
        row = {"version": "v0", "mean": low, "low": low, "high": high}
        mark = trend([row], ["v0"], shown)[0]
        assert mark.top + 1e-9 >= 0 and mark.bottom <= 100 + 1e-9


def test_the_same_version_has_the_same_place_in_every_suite() -> None:
    row = {"mean": 0.5, "low": 0.4, "high": 0.6}
    names = ["v0", "v1", "v2"]
    one = trend([row | {"version": name} for name in names], names)
    two = trend([row | {"version": "v1"}], names)
    assert one[1].x == two[0].x
    assert one[0].y == pytest.approx(50) and one[0].top == pytest.approx(40)


def test_text_that_hides_or_turns_is_made_visible() -> None:
    assert shown("a\u202eb\u200bc\x1b[31m") == "a\ufffdb\ufffdc\ufffd[31m"
    assert shown("two\nlines\tand a tab, \u00fcml\u00e4ut \u4e2d") == (
        "two\nlines\tand a tab, \u00fcml\u00e4ut \u4e2d"
    )
    assert shown("x" * (MOST + 5)).endswith("[5 more characters]")


@pytest.mark.parametrize(
    ("said", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("[a](javascript:alert(1))", 'href="javascript'),
        ("[a](data:text/html,x)", 'href="data'),
        ("![a](https://spy.example/x.png)", "<img"),
        ('<https://a.example/?"onclick=x>', "onclick=x>"),
        ("```\n</pre><script>\n```", "<script"),
    ],
)
def test_markdown_makes_nothing_that_runs_or_is_asked(said: str, never: str) -> None:
    assert never not in markdown(said)


def test_markdown_is_read() -> None:
    """What a model writes for people is laid out; its links say nothing of where they stand."""
    made = markdown(
        "**bold** and [a](https://a.example/)\n\n- one\n- two\n\n| a | b |\n|--|--|\n|1|2|"
    )
    for part in ("<strong>bold</strong>", "<li>one</li>", "<td>1</td>", 'rel="noopener noreferrer'):
        assert part in made


@pytest.mark.parametrize("path", ["/learning?q=1", "/", "/chat/chat-0#x"])
def test_a_path_of_ours_stays(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize("path", ["//a", "https://a", "/\\a", "", "a", "/a b", "/\ta", "\\/a"])
def test_a_path_that_leads_elsewhere_is_the_first_page(path: str) -> None:
    assert own_path(path) == "/"


def test_times_are_words() -> None:
    assert ago(None) == "never" and ago(utc_now()) == "just now"
    assert when("every update") == "every update" and when("2020-01-01T00:00+00:00") == "due"
    assert when((utc_now() + timedelta(hours=5, minutes=1)).isoformat()) == "in 5 h"
    assert [counted(n, "run") for n in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]
    assert [lasted(s) for s in (None, 0.25, 42, 200, 7200)] == [
        "",
        "0.2 s",
        "42 s",
        "3 min",
        "2.0 h",
    ]
