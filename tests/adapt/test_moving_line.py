"""The moving line of a command that takes long."""

import io

from rich.console import Console
from rich.spinner import Spinner

from adapt.show import one_line


def test_a_moving_line_is_cut_at_the_edge_of_the_terminal() -> None:
    """One that wraps would jump, and leave its second half behind."""
    written = io.StringIO()
    console = Console(file=written, width=40, force_terminal=True)
    console.print(Spinner("dots", text=one_line("starting the engine: " + "word " * 20)))
    assert len(written.getvalue().rstrip("\n").split("\n")) == 1
