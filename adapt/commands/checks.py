"""`perennial doctor`: what is wrong here, and the way out."""

from dataclasses import asdict

from rich.console import Group
from rich.markup import escape

from adapt.commands import Options
from adapt.doctor import Check, examine

_MARKS = {"ok": "[green]ok[/]    ", "failed": "[red]failed[/]"}


def doctor(options: Options, model: str | None) -> int:
    """Show every check. 1 when one failed."""
    checks = examine(lambda: options.settings(model=model))
    options.put([asdict(check) for check in checks], Group(*map(_line, checks)))
    return 1 if any(check.state == "failed" for check in checks) else 0


def _line(check: Check) -> str:
    line = f"{_MARKS[check.state]} {check.name:<14} {escape(check.found)}"
    return f"{line}\n{'':<22}{escape(check.hint)}" if check.hint else line
