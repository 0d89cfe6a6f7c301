"""The registry: every fault of a call becomes a result that the model reads, and ranking."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from store.embeddings import HashEmbedder
from store.errors import ConfigError, NotFoundError, ToolFailed, ToolRetry
from store.passages import Passage
from tools.base import CallContext, Terms, ToolSpec
from tools.registry import Registry, ToolResult
from tools.search import MAX_CHARS, SearchDocuments


class Scripted:
    """A tool whose call does what `work` does."""

    def __init__(self, work: Any, name: str = "tool", description: str = "") -> None:
        self.spec = ToolSpec(name, description, {"type": "object", "properties": {}})
        self._work = work

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        result = self._work(arguments)
        return await result if asyncio.iscoroutine(result) else result


def call(work: Any, arguments: str = "{}", name: str = "tool", max_chars: int = 500) -> ToolResult:
    registry = Registry([Scripted(work)], usual=Terms(timeout_s=0.05, max_chars=max_chars))
    return asyncio.run(registry.call(name, arguments, CallContext("t")))


def refuse(error: Exception) -> Any:
    def work(_: Any) -> str:
        raise error

    return work


def test_a_good_call_gives_the_tools_text() -> None:
    assert call(lambda a: f"got {a['x']}", '{"x": 1}') == ToolResult("got 1", True, False)
    assert call(lambda a: str(a), "") == ToolResult("{}", True, False)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (lambda: call(str, name="tol"), "there is no tool tol; there are: tool"),
        (lambda: call(str, "{x"), "the arguments of tool are not JSON: {x"),
        (lambda: call(str, "[" * 100_000), "the arguments of tool are not JSON"),
        (lambda: call(str, "3"), "the arguments of tool must be a JSON object"),
        (lambda: call(refuse(ToolRetry("say it again"))), "say it again"),
        (lambda: call(lambda _: asyncio.sleep(5)), "tool did not answer within 0.05 s"),
    ],
)
def test_a_fault_that_can_be_mended_is_a_retry(result: Any, error: str) -> None:
    said = result()
    assert (said.ok, said.retry) == (False, True)
    reply = json.loads(said.text)
    assert set(reply) == {"error"}
    assert reply["error"].startswith(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ToolFailed("gone for good"), "gone for good"),
        (KeyError("x"), "tool failed: KeyError: 'x'"),
        (RuntimeError(), "tool failed: RuntimeError: no message"),
    ],
)
def test_a_fault_that_cannot_be_mended_says_it_is_final(error: Exception, words: str) -> None:
    said = call(refuse(error))
    assert (said.ok, said.retry) == (False, False)
    assert json.loads(said.text) == {"error": words, "final": True}


def test_long_results_are_cut() -> None:
    said = call(lambda _: "x" * 1000, max_chars=100)
    assert len(said.text) == 100
    assert said.text.endswith("(cut)")
    assert len(json.loads(call(refuse(ToolRetry("y" * 1000)), max_chars=100).text)["error"]) == 100


def test_cancelling_a_run_cancels_its_tool() -> None:
    """A stopped request must not be answered with a tool's fault."""

    async def work() -> None:
        registry = Registry([Scripted(lambda _: asyncio.sleep(5))])
        task = asyncio.create_task(registry.call("tool", "{}", CallContext("t")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())


def test_a_tool_is_called_on_its_own_terms() -> None:
    """What is denied is not there, and what needs a yes is not called without one."""
    made: list[str] = []

    def tool(name: str) -> Scripted:
        return Scripted(lambda _: made.append(name) or "x" * 300, name)

    terms = {"asks": Terms("confirm", max_chars=200), "never": Terms("deny")}
    registry = Registry([tool("asks"), tool("never"), tool("plain")], terms)

    def said(name: str, confirmed: bool = False) -> ToolResult:
        return asyncio.run(registry.call(name, "{}", CallContext("t", confirmed=confirmed)))

    assert registry.names() == ["asks", "plain"]
    assert "there is no tool never" in said("never", confirmed=True).text
    refused = said("asks")
    assert not refused.ok and not refused.retry and "nobody has confirmed it" in refused.text
    assert made == []
    assert len(said("asks", confirmed=True).text) == 200 and len(said("plain").text) == 300
    assert made == ["asks", "plain"]


def test_two_tools_of_one_name_are_refused_and_unknown_ones_not_found() -> None:
    with pytest.raises(ConfigError, match="two tools are called tool"):
        Registry([Scripted(str), Scripted(str)])
    with pytest.raises(NotFoundError, match="there are: tool"):
        Registry([Scripted(str)]).get("tol")


class Counting(HashEmbedder):
    """Remembers what it embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return super().embed(texts)


def test_retrieve_ranks_by_meaning_and_embeds_each_tool_once() -> None:
    embedder = Counting()
    words = {"rain_for_a": "weather today", "book_for_b": "book a table", "pay_for_c": "pay rent"}

    def registry() -> Registry:
        return Registry([Scripted(str, n, d) for n, d in words.items()])

    for _ in range(2):
        best = registry().retrieve("book me a table", 2, embedder)
        assert best[0].name == "book_for_b"
        assert len(best) == 2
    assert len(embedder.texts) == 3 + 2
    assert len(registry().retrieve("x", 3, embedder)) == 3


def test_requests_at_the_same_time_embed_each_tool_once() -> None:
    """The first request after a start must not be as slow as all that came with it."""
    started, embedder = Barrier(4), Counting()
    registry = Registry([Scripted(str, f"tool_{i}", f"number {i}") for i in range(20)])

    def ask(_: int) -> int:
        started.wait()
        return len(registry.retrieve("number", 2, embedder))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [2] * 4
    assert len(embedder.texts) == 20 + 4


def test_search_replies_with_passages_of_bounded_length() -> None:
    class Documents:
        def search(self, query: str, k: int = 4) -> list[Passage]:
            texts = [f"{query} first", "x" * 5000, "never seen"][:k]
            return [Passage(document="d", title="t", text=text, score=1.0) for text in texts]

    registry = Registry([SearchDocuments(Documents())], usual=Terms(max_chars=5000))

    def search(arguments: str) -> ToolResult:
        return asyncio.run(registry.call("search_documents", arguments, CallContext("t")))

    passages = json.loads(search('{"query": "tea"}').text)["passages"]
    assert passages[0] == "tea first"
    assert len(passages) == 2
    assert sum(len(text) for text in passages) == MAX_CHARS
    assert search('{"query": " "}').retry
    assert search('{"question": "tea"}').retry
