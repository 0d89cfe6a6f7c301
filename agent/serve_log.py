"""Reads the engine's log for people: where a start has got to, and why it failed."""

import os
import re
from pathlib import Path

PREFIX = re.compile(r"^(\([\w-]+ pid=\d+\) )?((INFO|WARNING|ERROR) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception)|Killed)\b(: .+)?")
DULL = ("Route:", "warnings.warn", "nanobind", " - leaked", "█", "▄", "Traceback", "  File ")
TAIL_BYTES = 200_000


def rotate(log: Path) -> None:
    """Keep the last log as `<name>.1` and let the next start write a new one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        os.replace(log, log.with_name(log.name + ".1"))


def lines(log: Path) -> list[str]:
    """The last lines without colours and vLLM's prefixes; empty when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    bare = (PREFIX.sub("", ANSI.sub("", line).rstrip()) for line in text.splitlines())
    return [line for line in bare if line.strip()]


def last_step(log: Path) -> str:
    """The last line that says what the engine is doing, at most 120 characters."""
    for line in reversed(lines(log)):
        if not line.startswith(" ") and not any(mark in line for mark in DULL):
            return line[:120]
    return ""


def cause(log: Path) -> str:
    """The error that ended the engine: the first one raised, else the last few lines."""
    found = lines(log)
    for line in found:
        match = CAUSE.match(line.strip())
        # Some of vLLM's errors only say that another one is the cause.
        if match and match[2] and "root cause" not in line:
            return line.strip()[:500]
    return " | ".join(line.strip() for line in found[-5:])[:1000]
