"""Clients of the benchmarks of swaps: agents that stream from the assistant all the time.

They run in a process of their own, as real clients do: they take no turn of the server's event
loop, and their clock (CLOCK_MONOTONIC, the same for all processes) tells when a token is there, not
when the server meant to send it. They judge nothing; adapt.bench.swap_tally does. Started by
adapt.bench.swap and adapt.bench.soak.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import httpx

TURNS = 2
"""Questions of one thread, then an agent begins another: three may fill the model's window."""
STOP_S = 60.0
_LINE = 1 << 24


class Answer(NamedTuple):
    """One request and what came back. Moments are seconds of CLOCK_MONOTONIC."""

    question: int
    sent: float
    begun: float
    """When the status was there; `end` where it never was."""
    end: float
    texts: tuple[tuple[float, ...], ...]
    """Moments of the pieces of text; a tool call between two pieces ends a group."""
    version: str
    """What the header says."""
    versions: tuple[str, ...]
    """All that the pieces say, in the order in which they came."""
    calls: int
    empty: bool
    episode: str
    """What the assistant kept of it."""
    error: str | None


class Clients:
    """`agents` clients in a child process, for as long as a block lasts."""

    def __init__(
        self, url: str, questions: Sequence[str], agents: int, folder: Path, pause_s: float = 0.0
    ) -> None:
        """`folder` takes the record of the answers; `pause_s` is between two questions."""
        self._plan = {
            "url": url, "questions": list(questions), "agents": agents, "pause_s": pause_s,
            "out": str(folder / f"answers-{uuid4().hex[:8]}.jsonl"),
        }  # fmt: skip
        self._read = 0
        self._child: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        Path(self._plan["out"]).touch()
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", __file__, stdin=asyncio.subprocess.PIPE,
            # Ctrl-C is for the benchmark, which lets the requests under way end.
            process_group=0,
        )  # fmt: skip
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(self._plan).encode() + b"\n")
        await self._child.stdin.drain()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Let the requests under way end. Idempotent."""
        if self._child is None:
            return
        child, self._child = self._child, None
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    def fresh(self) -> list[Answer]:
        """The answers since the last call."""
        with open(self._plan["out"], "rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_answer(*json.loads(line)) for line in whole.splitlines()]

    async def until(self, answers: int, seconds: float) -> None:
        """Wait until so many answers are there, at most so long."""
        deadline = time.monotonic() + seconds
        path = Path(self._plan["out"])
        while path.read_bytes().count(b"\n") < answers and time.monotonic() < deadline:
            await asyncio.sleep(0.2)


def _answer(
    question: int, sent: float, begun: float, end: float, texts: list[list[float]],
    version: str, versions: list[str], *rest: Any,
) -> Answer:  # fmt: skip
    """An answer from its line of JSON, which knows no tuples."""
    grouped = tuple(map(tuple, texts))
    return Answer(question, sent, begun, end, grouped, version, tuple(versions), *rest)


async def _work() -> None:
    """The child: ask until standard input ends, which it also does when the parent dies."""
    reader = asyncio.StreamReader(limit=_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan = json.loads(await reader.readline())
    over = asyncio.Event()
    numbers = count()
    with open(plan["out"], "a", buffering=1) as out:

        def keep(answer: Answer) -> None:
            out.write(json.dumps(answer) + "\n")

        async with asyncio.TaskGroup() as group:
            for _ in range(plan["agents"]):
                group.create_task(_agent(plan, numbers, keep, over))
            await reader.read()
            over.set()


async def _agent(plan: Any, numbers: Any, keep: Any, over: asyncio.Event) -> None:
    # Without certificates, which plain HTTP has no use for: hundreds of agents would read them all.
    async with httpx.AsyncClient(
        base_url=plan["url"], timeout=120.0, trust_env=False, verify=False
    ) as client:
        while not over.is_set():
            thread = uuid4().hex
            for _ in range(TURNS):
                question = next(numbers) % len(plan["questions"])
                keep(await _ask(client, question, plan["questions"][question], thread))
                if plan["pause_s"]:
                    await asyncio.sleep(plan["pause_s"])
                if over.is_set():
                    return


async def _ask(client: httpx.AsyncClient, number: int, question: str, thread: str) -> Answer:
    body = {
        "model": "live", "stream": True, "messages": [{"role": "user", "content": question}]
    }  # fmt: skip
    headers = {"X-Thread-Id": thread}
    heard = _Heard()
    sent = time.monotonic()
    begun, version, error = 0.0, "", None
    try:
        async with client.stream(
            "POST", "/v1/chat/completions", json=body, headers=headers
        ) as response:
            begun = time.monotonic()
            version = response.headers.get("X-Perennial-Version", "")
            if response.is_error:
                said = (await response.aread()).decode(errors="replace")
                error = f"{response.status_code} {said[:500]}"
            else:
                async for line in response.aiter_lines():
                    heard.take(line)
                error = heard.fault or (None if heard.done else "the stream ended without [DONE]")
    except (httpx.HTTPError, ValueError) as failure:
        error = repr(failure)
    end = time.monotonic()
    texts = tuple(tuple(round(t, 6) for t in group) for group in heard.texts if group)
    return Answer(
        number, sent, begun or end, end, texts, version, tuple(dict.fromkeys(heard.versions)),
        heard.calls, not heard.text.strip(), heard.episode, error,
    )  # fmt: skip


class _Heard:
    """What has come of one stream."""

    def __init__(self) -> None:
        self.texts: list[list[float]] = [[]]
        self.text = ""
        self.versions: list[str] = []
        self.calls = 0
        self.episode = ""
        self.done = False
        self.fault: str | None = None

    def take(self, line: str) -> None:
        """One line of server-sent events."""
        if not line.startswith("data: "):
            return
        if line == "data: [DONE]":
            self.done = True
            return
        chunk = json.loads(line[6:])
        if "error" in chunk:
            self.fault = line[6:506]
            return
        self.versions.append(chunk["model"])
        extra = chunk.get("perennial", {})
        if "version" in extra:
            self.versions.append(extra["version"])
            self.episode = extra["episode"]
        text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
        if text:
            self.texts[-1].append(time.monotonic())
            self.text += text
        elif self.texts[-1]:
            # What comes next waits for a tool, or for another call of the model.
            self.texts.append([])
        self.calls += "tool_call" in extra


if __name__ == "__main__":
    asyncio.run(_work())
