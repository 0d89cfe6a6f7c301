"""The conversation at the terminal: what is said beside questions, a person's yes, real keys."""

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

import chat_home
import pytest
from chat_home import LIVE, here, there
from rich.console import Console

import perennial
from adapt.commands import Options
from adapt.commands.talk_chat import Chat
from adapt.commands.talk_input import Piped
from adapt.commands.talk_view import Teller, printable
from adapt.running import Answer, Piece
from agent.state import Token, ToolCalled, ToolReplied
from store.errors import ConfigError, NotFoundError, UserError
from tools.base import CallContext, Terms, ToolSpec
from tools.registry import Registry

ROOT = Path(perennial.__file__).parent


class Said:
    """Lines of a person who types them all at once."""

    def __init__(self, lines: Iterable[str], interactive: bool = True) -> None:
        self.interactive = interactive
        self._lines = list(lines)
        self.prompts: list[str] = []

    async def read(self, prompt: str = "> ") -> str | None:
        self.prompts.append(prompt)
        return self._lines.pop(0) if self._lines else None


class Ring:
    """A tool that does something to the world."""

    spec = ToolSpec("ring", "ring a bell", {"type": "object", "properties": {}})

    def __init__(self) -> None:
        self.rung = 0

    async def call(self, arguments: Any, context: CallContext) -> str:
        self.rung += 1
        return f"rung {self.rung}"


class Talked:
    """What came of some lines."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], way: Any) -> None:
        self.home, self.capsys, self.way, self.ring = home, capsys, way, Ring()
        self.lines = Said([])
        self.notes = ""
        self.chat: Chat | None = None

    def __call__(
        self, *lines: str, interactive: bool = True, as_json: bool = False
    ) -> tuple[Chat, str]:
        """The conversation afterwards, and what was written to standard output."""

        async def work() -> Chat:
            self.lines = Said(lines, interactive)
            kept = io.StringIO()
            registry = Registry([self.ring], {"ring": Terms(permission="confirm")})
            async with self.way(self.home, registry) as talker:
                options = Options(self.home, as_json)
                chat = Chat(options, talker, Console(file=kept, width=200), None)
                try:
                    await chat.run(self.lines)
                finally:
                    self.notes = kept.getvalue()
            return chat

        chat = asyncio.run(asyncio.wait_for(work(), 60))
        return chat, self.capsys.readouterr().out

    def anew(self, name: str) -> "Talked":
        """The same in another home."""
        return Talked(self.home.parent / name, self.capsys, self.way)


@pytest.fixture(params=[here, there], ids=["here", "there"])
def talk(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Talked:
    """With an assistant of this process, and with one behind a server."""
    return Talked(tmp_path / "home", capsys, request.param)


def test_a_conversation_goes_on_until_a_new_one_is_begun(talk: Talked) -> None:
    """The thread remembers; /new does not; /thread goes back; `//` asks what begins with `/`."""
    chat, out = talk(
        "one", "two", "/new", "three", "/thread mine", "four", "/thread mine", "//five"
    )
    assert out.splitlines() == [
        f"{LIVE} heard 1: one", f"{LIVE} heard 2: two", f"{LIVE} heard 1: three",
        f"{LIVE} heard 1: four", f"{LIVE} heard 2: /five",
    ]  # fmt: skip
    assert chat.thread == "mine" and "thread mine" in talk.notes


def test_a_version_answers_from_now_on_and_live_again(talk: Talked) -> None:
    chat, out = talk("/version", "hi")
    named = next(name for name in chat.known if name.startswith("v1-"))
    assert LIVE in out and named in out and "this chat" in out
    assert f"{LIVE}, 1 step" in talk.notes
    talked = talk.anew("other")
    chat, out = talked(f"/version {named}", "hi", "/version live", "hi again")
    assert out.splitlines() == [f"{named} heard 1: hi", f"{LIVE} heard 2: hi again"]
    assert chat.version is None


def test_two_versions_are_compared_on_the_last_question_or_another(talk: Talked) -> None:
    """Without what was said before; the conversation does not remember it either."""
    chat, _ = talk("/version")
    named = next(name for name in chat.known if name.startswith("v1-"))
    other = talk.anew("other")
    _, out = other("hi", f"/compare live {named}", f"/compare {named} live more?", "on")
    for said in (f"{LIVE} heard 1: hi", f"{named} heard 1: hi", f"{named} heard 1: more?"):
        assert said in out
    assert f"{LIVE} heard 2: on" in out
    _, out = talk.anew("third")(f"/compare {named} live hi", as_json=True, interactive=False)
    found = json.loads(out)
    assert [each["version"] for each in found["compared"]] == [named, LIVE]


def test_why_tells_what_is_behind_the_last_answer(talk: Talked) -> None:
    chat, out = talk("hi", "/why")
    assert chat.told is not None
    for said in (
        chat.told.episode,
        f"asked     hi\nanswered  {LIVE} heard 1: hi",
        f"line      {LIVE}",
    ):
        assert said in out


def test_what_cannot_be_done_is_said_and_the_conversation_goes_on(talk: Talked) -> None:
    wrong = ["/why", "/compare", "/compare a b", "/compare a b c", "/version v9", "/nonsense",
             "/thread a b", "/why nothing"]  # fmt: skip
    _, out = talk(*wrong, "hi", "/quit", "never asked")
    assert out == f"{LIVE} heard 1: hi\n"
    assert talk.notes.count("error:") == len(wrong)
    for hint in ("/why [EPISODE]", "/compare A B [QUESTION]", f"live, {LIVE}", "/help lists"):
        assert hint in talk.notes


@pytest.mark.parametrize(
    ("line", "kind"), [("/why", ConfigError), ("/version v9", NotFoundError), ("/x", UserError)]
)
def test_a_script_ends_at_what_cannot_be_done(talk: Talked, line: str, kind: type) -> None:
    with pytest.raises(kind):
        talk(line, "hi", interactive=False)
    assert talk.capsys.readouterr().out == ""


def test_a_call_that_needs_a_yes_is_made_after_a_yes_only(talk: Talked) -> None:
    """Silence, a word that is no yes, and the end of the input are a no."""
    _, out = talk("ring", "y", "ring", "", "ring", "maybe", "ring")
    assert talk.ring.rung == 1
    first, *others = out.splitlines()
    assert first == f"{LIVE}: rung 1"
    assert len(others) == 3 and all("declined" in line for line in others)
    assert talk.lines.prompts.count("  make this call? [y/N] ") == 4
    assert "ring {}" in talk.notes


def test_a_pipe_can_confirm_nothing(talk: Talked) -> None:
    """A line that says yes is a question there."""
    _, out = talk("ring", "y", interactive=False)
    assert talk.ring.rung == 0
    refused, asked = out.splitlines()
    assert "nobody can be asked" in refused
    assert asked == f"{LIVE} heard 2: y"


def test_an_answer_is_whole_for_programs(talk: Talked) -> None:
    _, out = talk("hi", "/version", interactive=False, as_json=True)
    said, versions = map(json.loads, out.splitlines())
    assert (said["answer"], said["version"], said["steps"]) == (f"{LIVE} heard 1: hi", LIVE, 1)
    assert said["thread"].startswith("chat-") and said["episode"]
    assert versions["live"] == LIVE and len(versions["versions"]) == 2


def test_what_tools_and_models_write_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Escape sequences (title, clipboard, cursor) and marks that turn letters around stay text;
    other scripts, emoji and lines are as they were."""
    assert printable("\x1b]52;c;aGk=\x07\x9b2J\x7f\r") == "␛]52;c;aGk=␇\ufffd2J\ufffd"
    assert printable("a\u202eb\u2066c") == "abc"
    for text in ("naïve\n\tжук 日本", "👩\u200d👧 می\u200cخواهم"):
        assert printable(text) == text

    async def pieces() -> AsyncGenerator[Piece, None]:
        yield ToolCalled("1", "ring\x1b[2J", '{"a": "[red]"}')
        yield ToolReplied("1", "ring", "\x1b]0;owned\x07[bold]", True)
        yield Token("fine\x1b[31m")
        yield Answer("v1", 2, "e", ({"title": "\x1b[1m", "address": "a.md"},))

    kept = io.StringIO()
    teller = Teller(Console(file=kept, width=200), aloud=True, badge=True)
    told = asyncio.run(teller.tell(pieces()))
    out = capsys.readouterr().out
    assert "\x1b" not in out + kept.getvalue()
    assert out == "fine␛[31m\n"
    assert "[red]" in kept.getvalue() and "[bold]" in kept.getvalue()
    assert told.json()["tools"][0]["result"] == "\x1b]0;owned\x07[bold]"


def test_a_real_terminal_edits_lines_and_stops_answers(tmp_path: Path) -> None:
    """On a pseudo-terminal: a mistyped letter is taken back, Ctrl-C stops an answer that goes on
    and not the conversation, lines are kept for their owner alone, Ctrl-D ends."""
    home = tmp_path / "home"
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, chat_home.__file__, str(home)],
        cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TERM": "xterm"},
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    screen = _Screen(master)
    try:
        screen.until("| /help")
        screen.type("hellp\x7fo\r")
        screen.until("heard 1: hello")
        screen.until("| /help")
        screen.type("think\r")
        screen.until("thinking on")
        os.kill(child.pid, signal.SIGINT)
        screen.until("stopped")
        screen.until("| /help")
        screen.type("again\r")
        screen.until("heard 2: again")
        screen.until("| /help")
        screen.type("\x04")
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        os.close(master)
    kept = home / ".chat-history"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "+hello" in kept.read_text()


class _Screen:
    """What a pseudo-terminal shows."""

    def __init__(self, master: int) -> None:
        self._master = master
        os.set_blocking(master, False)
        termios.tcsetwinsize(master, (24, 100))
        self._shown = ""
        self._seen = 0

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, words: str) -> None:
        """Wait for words behind those that were waited for last."""
        deadline = time.monotonic() + 60
        while (found := self._shown.find(words, self._seen)) < 0:
            assert time.monotonic() < deadline, self._shown
            try:
                new = os.read(self._master, 1 << 16).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
                continue
            self._shown += new
            # A terminal is asked where its cursor is, and tells.
            self.type("\x1b[1;1R" * new.count("\x1b[6n"))
        self._seen = found + len(words)


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_pipe_of_bytes_that_are_no_text_ends_with_words(
    errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line before is read, and the one that is none does not hang."""

    async def work() -> None:
        lines = Piped()
        assert await lines.read() == "fine"
        with pytest.raises(ConfigError, match="not UTF-8"):
            await lines.read()

    given = io.BytesIO(b"fine\n" + b"x" * 9000 + b"\xff\xfe\n")
    with io.TextIOWrapper(given, "utf-8", errors) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        asyncio.run(asyncio.wait_for(work(), 30))
