"""Reads the engine's log for people: where a start has got to, and why it failed."""

import os
import re
from pathlib import Path

PREFIX = re.compile(
    r"^(?:\([\w-]+ pid=\d+\) )?(?:(INFO|WARNING|ERROR) [\d-]+ [\d:]+ \[[^\]]*\] ?)?"
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception)|Killed)\b(: .+)?")
DULL = ("Route:", "Available routes", "█", "▄")
TAIL_BYTES = 200_000


def rotate(log: Path) -> None:
    """Keep the last log as `<name>.1` and let the next start write a new one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        os.replace(log, log.with_name(log.name + ".1"))


def lines(log: Path) -> list[str]:
    """The last lines without colours; empty when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in ANSI.sub("", text).splitlines() if line.strip()]


def last_step(log: Path) -> str:
    """What the engine last said it was doing, at most 120 characters; empty before it spoke."""
    for line in reversed(lines(log)):
        match = PREFIX.match(line)
        said = line[match.end() :].strip() if match and match[1] == "INFO" else ""
        if said and not any(mark in said for mark in DULL):
            return said[:120]
    return ""


def cause(log: Path) -> str:
    """The error that ended the engine: the first one raised, else the last few lines."""
    found = [PREFIX.sub("", line).strip() for line in lines(log)]
    for line in found:
        match = CAUSE.match(line)
        # Some of vLLM's errors only say that another one is the cause.
        if match and match[2] and "root cause" not in line:
            return line[:500]
    return " | ".join(line for line in found[-5:] if line)[:1000]
