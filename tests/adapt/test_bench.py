"""Benchmarks: found by name, and the facts that `kva` reports of two sides."""

import pytest
import torch

from adapt.bench import BENCHMARKS, find_benchmark, refuse_options
from adapt.bench.kva import summary
from adapt.bench.sides import Side, Timed
from adapt.bench.swap import run as run_swap
from store.errors import ConfigError, NotFoundError


def make_model() -> int:
    return 40


def add(model: int, more: int) -> int:
    return model + more


def test_every_name_is_a_function() -> None:
    for name in BENCHMARKS:
        assert callable(find_benchmark(name))


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(NotFoundError, match="kva, kva-pico, implant"):
        find_benchmark("other")


def test_an_option_that_a_benchmark_does_not_take_is_refused() -> None:
    """Before anything is started; the message lists those that it takes."""
    refuse_options("soak", find_benchmark("soak"), {"minutes": 1.0, "engines": 2})
    with pytest.raises(ConfigError, match="kva takes no --minutes"):
        refuse_options("kva", find_benchmark("kva"), {"minutes": 1.0})
    with pytest.raises(ConfigError) as refused:
        refuse_options("swap", find_benchmark("swap"), {"minutes": 1.0})
    assert refused.value.hint == "it takes: --engines, --kind, --swaps, --agents"
    with pytest.raises(ConfigError, match="no swap of kind 'whole'"):
        run_swap(lambda _: None, kind="whole")


def test_a_side_keeps_its_model_and_measures_in_its_own_process() -> None:
    with Side(make_model) as side:
        run = side.run(add, 2)
    assert run.value == 42
    assert run.seconds >= 0
    assert run.peak_mb > 1


def test_a_summary_of_two_sides() -> None:
    """Ours had two prompts in a pass, the other side the first of them."""
    plain = torch.arange(20.0).view(1, 1, 20) - 10
    near = plain.clone()
    near[0, 0, 0] += 4.5
    ours = [Timed(torch.cat((near, plain)), seconds, 100) for seconds in (1.0, 2.0, 9.0)]
    found = summary([Timed(None, 1.0, 90)], ours, Timed(plain, 8.0, 300))
    assert (found["ratio"], found["forward_equivalents"]) == (8, 2)
    assert found["max_relative_difference"] == pytest.approx(0.45)
    assert found["selection_overlap"] == 0.5
    assert (found["ours_peak_mb"], found["plain_peak_mb"]) == (100, 300)
