"""Prints how many traps the fetcher was led into."""

import pytest
from trap_tally import TRAPS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many there were, and what came of them."""
    if TRAPS.traps:
        terminalreporter.section("fetching")
        for kind, times in sorted(TRAPS.traps.items()):
            terminalreporter.write_line(f"{times:4} x {kind}")
        terminalreporter.write_line(TRAPS.line())
