"""Whoever answers a person at the terminal: the server that runs on the home, or an engine started
for it. Both give an answer in the same pieces.

Shows nothing and reads no line. Called by adapt.commands.talk and adapt.commands.talk_chat.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol

from adapt.assistant import Assistant, open_assistant
from adapt.running import Answer, Confirm, Piece, Running, find_running
from adapt.runtime import Runtime, open_runtime
from agent.config import Settings, home_of
from agent.options import Options
from agent.serve import StartProgress
from agent.state import Done, Part, Resume, Token, ToolCalled, ToolReplied
from store import Store
from store.errors import EngineUnavailable, StateError

Json = dict[str, Any]


class Talker(Protocol):
    """Who answers. `version` is a version's name, None for the live one."""

    def ask(
        self, question: str, thread: str | None, version: str | None, *, confirms: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """The answer in pieces: Answer last, or Confirm where the run waits for a person, which it
        does only with a thread and `confirms`."""
        ...

    def resume(self, thread: str, approved: Sequence[str]) -> AsyncGenerator[Piece, None]:
        """The rest of a run that waits, with the ids of the calls that may be made."""
        ...

    async def versions(self) -> list[Json]:
        """`name`, `state` and `parent` of the versions that can be asked, and whether one is what
        `live` means."""
        ...


class Here:
    """The assistant of this process."""

    def __init__(self, runtime: Runtime, assistant: Assistant) -> None:
        self._runtime, self._assistant = runtime, assistant

    async def ask(
        self, question: str, thread: str | None, version: str | None, *, confirms: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """A run; a version that the engine does not hold is loaded first."""
        if version is not None:
            await self._runtime.swap.load(self._runtime.store.versions.get(version))
        options = Options(named=version is not None, confirms=confirms)
        asked = [{"role": "user", "content": question}]
        async with aclosing(
            self._run(asked, version or self._runtime.live(), thread, options)
        ) as pieces:
            async for piece in pieces:
                yield piece

    async def resume(self, thread: str, approved: Sequence[str]) -> AsyncGenerator[Piece, None]:
        """The rest of the thread's run, on the version that it began with."""
        waiting = await self._assistant.agent.waiting(thread)
        if waiting is None:
            raise StateError(f"the thread {thread} waits for nothing", "ask anew")
        options = Options(confirms=True)
        answer = Resume({"approved": list(approved)})
        async with aclosing(self._run(answer, waiting.version, thread, options)) as pieces:
            async for piece in pieces:
                yield piece

    async def versions(self) -> list[Json]:
        """All that are not given up."""
        live = self._runtime.live()
        return [
            {"name": v.name, "state": v.state.value, "parent": v.parent, "live": v.name == live}
            for v in self._runtime.store.versions.list()
        ]

    async def _run(
        self, messages: Any, version: str, thread: str | None, options: Options
    ) -> AsyncGenerator[Piece, None]:
        assistant = self._assistant
        events = assistant.agent.stream(
            messages, assistant.registry, version, thread=thread,
            shown=self._runtime.settings.agent.tools_shown, embedder=assistant.embedder,
            options=options,
        )  # fmt: skip
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Part):
                    continue
                if not isinstance(event, Done):
                    yield event
                    continue
                result = event.result
                if result.fault is not None:
                    raise result.fault
                if result.asked:
                    yield Confirm.of(result.asked[0].value)
                else:
                    sources = tuple(c.model_dump() for c in result.citations)
                    yield Answer(result.version, result.steps, result.id, sources)


class There:
    """The server that runs on this home."""

    def __init__(self, running: Running, store: Store) -> None:
        """`store` is of the same home: what a run was is read there."""
        self._running, self._store = running, store

    async def ask(
        self, question: str, thread: str | None, version: str | None, *, confirms: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """A run over OpenAI's protocol; where a person can be asked, over LangGraph's."""
        if not (confirms and thread):
            pieces = self._running.ask(question, thread, version)
        else:
            asked = {"messages": [{"role": "user", "content": question}]}
            named = {"context": {"version": version}} if version else {}
            pieces = self._run(thread, {"input": asked} | named)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def resume(self, thread: str, approved: Sequence[str]) -> AsyncGenerator[Piece, None]:
        """The rest of the thread's run."""
        command = {"resume": {"approved": list(approved)}}
        async with aclosing(self._run(thread, {"command": command})) as pieces:
            async for piece in pieces:
                yield piece

    async def versions(self) -> list[Json]:
        """Those that the engines hold."""
        return await self._running.versions()

    async def _run(self, thread: str, body: Json) -> AsyncGenerator[Piece, None]:
        run, asked = "", []
        events = self._running.run_on(thread, body | {"stream_mode": ["custom", "values"]})
        async with aclosing(events):
            async for event, data in events:
                match event, data:
                    case "metadata", {"run_id": run}:
                        pass
                    case "custom", {"type": "token", "text": text}:
                        yield Token(text)
                    case "custom", {"type": "tool_call"}:
                        yield ToolCalled(data["id"], data["name"], data["arguments"])
                    case "custom", {"type": "tool_result"}:
                        yield ToolReplied(data["id"], data["name"], data["text"], data["ok"])
                    case "values", _:
                        asked = data.get("__interrupt__", [])
                    case "error", _:
                        raise EngineUnavailable(data["message"], "ask again")
                    case _:
                        pass
        if asked:
            yield Confirm.of(asked[0]["value"])
            return
        episode = await asyncio.to_thread(self._store.episodes.get, run)
        sources = tuple(citation.model_dump() for citation in episode.citations)
        yield Answer(episode.version, episode.steps, episode.id, sources)


@asynccontextmanager
async def talker(
    settings: Settings, progress: Callable[[StartProgress], None] | None
) -> AsyncIterator[Talker]:
    """The server that runs on this home, or an engine started for it, until the block ends."""
    running = find_running(settings)
    if running is not None:
        with Store.open(home_of(settings)) as store:
            yield There(running, store)
        return
    async with (
        open_runtime(settings, progress) as runtime,
        open_assistant(runtime) as assistant,
    ):
        yield Here(runtime, assistant)
