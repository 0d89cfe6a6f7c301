"""Which documents an answer rests on: in the tool's reply, the episode and the API's answer."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from agent_app import LIVE, Wire, client_of, open_store, run, state_on, user

from agent.fake_engine import FakeVllm
from store.normal import new_document
from tools.registry import Registry
from tools.search import SearchDocuments


def searcher(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
    """Searches twice for the question, then says what it read."""
    if [m["role"] for m in messages].count("tool") == 2:
        return messages[-1]["content"]
    return [{"name": "search_documents", "arguments": {"query": messages[1]["content"]}}]


def test_an_answer_names_each_document_once(tmp_path: Path) -> None:
    pages = {"https://example.org/ferry": "The ferry sails at 9.", "notes/b.md": "Goats eat."}
    with open_store(tmp_path) as store:
        for address, text in pages.items():
            document = new_document(source="s", address=address, text=text, title=text[:9])
            store.documents.take([document])
            store.documents.accept(document.digest)
        registry = Registry([SearchDocuments(store.documents)])
        state = state_on(FakeVllm(searcher, adapters={LIVE: "/a"}), store)
        state = dataclasses.replace(state, registry=lambda thread: registry)

        async def ask(stream: bool) -> Any:
            async with client_of(state) as client:
                body = {"model": "live", "messages": user("ferry"), "stream": stream}
                return await client.post("/v1/chat/completions", json=body)

        answer = run(ask(stream=False)).json()
        cited = answer["perennial"]["citations"]
        assert [c["address"] for c in cited] == list(pages)
        assert [c["title"] for c in cited] == ["The ferry", "Goats eat"]
        message = answer["choices"][0]["message"]
        assert [a["url_citation"]["url"] for a in message["annotations"]] == [*pages][:1]
        read = json.loads(message["content"])
        assert read["passages"] == list(pages.values())
        assert read["sources"][0] == "The ferry (https://example.org/ferry)"
        streamed = run(ask(stream=True)).text.splitlines()
        ends = [json.loads(line[6:]) for line in streamed if '"citations"' in line]
        assert ends[0]["perennial"]["citations"] == cited
        episodes = store.episodes.list()
        assert [[c.model_dump() for c in e.citations] for e in episodes] == [cited, cited]
