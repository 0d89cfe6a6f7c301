"""Levels of a row of updates: never more than promised, and never used up."""

import random

from adapt.spending import level_of


def test_levels_never_exceed_alpha_times_the_promotions() -> None:
    """At every update of any history, what was spent is within the promise."""
    rng = random.Random(3)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        history: list[bool] = []
        spent = 0.0
        for _ in range(400):
            level = level_of(history, 0.05)
            assert level > 0.0
            spent += level
            history.append(rng.random() < share)
            assert spent <= 0.05 * max(sum(history), 1) + 1e-12


def test_the_level_tends_to_alpha_while_all_goes_well() -> None:
    """Half of alpha at first; nearly all of it after some promotions."""
    assert level_of([], 0.05) == 0.025
    assert level_of([True] * 12, 0.05) > 0.049


def test_refusals_lower_the_level_and_a_promotion_raises_it() -> None:
    """A row of refusals makes the gate stricter until an update goes live."""
    good = [True] * 5
    falling = [level_of(good + [False] * k, 0.05) for k in range(6)]
    assert falling == sorted(falling, reverse=True)
    assert level_of([*good, False, False, True], 0.05) > falling[3]


def test_the_level_depends_on_earlier_verdicts_alone_and_rises_with_them() -> None:
    """One more promotion in the past never makes a later level smaller."""
    rng = random.Random(4)
    for _ in range(200):
        history = [rng.random() < 0.5 for _ in range(12)]
        place = rng.randrange(12)
        better = [*history[:place], True, *history[place + 1 :]]
        assert level_of(better, 0.05) >= level_of(history, 0.05) - 1e-12
