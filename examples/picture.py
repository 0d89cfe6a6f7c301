"""A terminal recording as a picture: `FORCE_COLOR=1 make demo 2>&1 | python -m examples.picture`.

Reads a program's output with its colours from standard input, drops what was overwritten in place,
and writes an SVG that a README can show.
"""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

_SPINNER = re.compile(r"^[\u2800-\u28ff] ")
"""How a moving line of rich begins; the last one of each stays in the output."""
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKfhlsu]")


def settled(output: str) -> list[str]:
    """The lines as they stand at the end: of what a carriage return overwrote, the last."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in output.split("\n")]
    return [_MOVES.sub("", line).rstrip() for line in lines]


def main(
    out: Annotated[Path, typer.Option(help="The SVG to write.")] = Path("docs/demo.svg"),
    title: Annotated[str, typer.Option(help="Title of the window.")] = "make demo",
    width: Annotated[int, typer.Option(help="Columns.")] = 108,
) -> None:
    """Write the picture of what comes in."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True)
        # Not as text: that would make line ends of the carriage returns.
        for line in settled(sys.stdin.buffer.read().decode(errors="replace")):
            text = Text.from_ansi(line)
            if line and not _SPINNER.match(text.plain):
                console.print(text)
    console.save_svg(str(out), title=title)


if __name__ == "__main__":
    typer.run(main)
