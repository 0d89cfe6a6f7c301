"""A wall clock that jumps by years, forwards and back, in the middle of a cycle.

The process's own clock, by a library that is loaded before libc (clock.c): everything in it sees
the jump. Skipped where there is no C compiler.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import cycle_process
from faults.chain import Chain, Together, Waiting, said
from faults.invariants import TALLY, check_ended, check_home
from faults.processes import LONG_S, ROOT

from store.records import CycleStage, CycleState, utc_now

YEARS = 400 * 24 * 3600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clock.c, built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


CASES = [
    ("gate:started", YEARS),
    ("swap:started", -YEARS),
    ("swap:after INSERT INTO flips", -YEARS),
    ("swap:after INSERT INTO flips", YEARS),
]


@pytest.fixture(scope="module")
def jumped(chain: Chain, together: Together, library: Path) -> Waiting:
    """Cycles whose clock jumps."""
    assert chain.finished()

    def jump(home: Path, point: str, seconds: int) -> None:
        learned, clock = chain.learned, home.with_suffix(".clock")
        chain.at("gate:started", home)
        clock.write_text("0")
        command = [sys.executable, "-P", "-m", cycle_process.__name__, home, learned.model]
        done = subprocess.run(
            [*map(str, command), str(learned.inbox), point, "clock"],
            timeout=LONG_S, check=False, capture_output=True,
            env={
                **os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                "LD_PRELOAD": str(library), "FAULT_CLOCK": str(clock), "FAULT_JUMP": str(seconds),
            },
        )  # fmt: skip
        TALLY.inject("wall clock that jumps")
        assert done.returncode == 0, (said(home), done.stderr)
        live = check_home(home)
        TALLY.check(live == check_home(chain.finished()), "the same version is live")
        cycle = check_ended(home, 1, CycleState.PROMOTED)
        assert cycle.ended_at is not None
        far = abs((cycle.ended_at - utc_now()).total_seconds()) > YEARS / 2
        TALLY.check(far, "the process has seen the jump")
        took = [s.seconds for s in cycle.stages if s.stage in (CycleStage.GATE, CycleStage.SWAP)]
        TALLY.check(all(0 <= (s or 0) < LONG_S for s in took), f"no stage took years: {took}")
        assert learned.run(home) == 0, said(home)
        check_home(home)
        check_ended(home, 2, CycleState.SKIPPED)

    return together(jump, CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_clock_that_jumps_disturbs_no_cycle(
    chain: Chain, jumped: Waiting, case: tuple[str, int]
) -> None:
    """The log of what was live is in its order, whatever the times in it say."""
    jumped[case].result()
