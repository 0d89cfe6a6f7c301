"""The API against its own OpenAPI document: generated requests, and what they are answered with."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from admin_actions import Worker
from agent_app import LIVE, NEXT, open_store, reckoner, served, state_on, user
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from adapt.posting import post
from agent.api.app import documented
from agent.fake_engine import FakeVllm
from store.normal import new_document
from store.records import Episode, utc_now
from store.source_records import Finding, Source

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
    unsupported_method,
]
EXAMPLES = 8
"""Requests to each operation."""
HELD = new_document(source="wiki", address="held", text="A text that waits for a person.")
EPISODE = Episode(id="e1", thread="t", version=LIVE, messages=(), steps=1, created_at=utc_now())
KEY = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An application with a key, over a scripted engine, on a real port."""
    with open_store(tmp_path_factory.mktemp("contract")) as store:
        fake = FakeVllm(reckoner, served_name=LIVE, adapters={NEXT: "/adapter"})
        store.sources.add(Source(name="wiki", kind="posted", location="wiki", added_at=utc_now()))
        store.documents.add(HELD)
        store.reviews.hold({HELD.digest: [Finding(kind="trust", words="little trusted")]})
        store.episodes.add(EPISODE)
        state = state_on(
            fake, store, api_key="secret", actions=Worker().actions(), checkpointer=InMemorySaver()
        )
        state = replace(state, post=lambda name, given: post(store, state.settings, name, given))
        with served(state) as url:
            yield url


@pytest.fixture(scope="module")
def api(url: str) -> Any:
    """Its document."""
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.fixture
def known(url: str) -> dict[str, Any]:
    """Names that there are; without them nearly every answer would be that there is no such."""
    with httpx.Client(base_url=url, headers=KEY) as client:
        thread = str(uuid4())
        client.post("/threads", json={"thread_id": thread}).raise_for_status()
        asked = {"assistant_id": "agent", "input": {"messages": user("6*7")}}
        run = client.post(f"/threads/{thread}/runs", json=asked).raise_for_status().json()["run_id"]
        client.get(f"/threads/{thread}/runs/{run}/join").raise_for_status()
        state = client.get(f"/threads/{thread}/state").raise_for_status().json()
    return {
        "model": NEXT, "version": NEXT, "source": "wiki", "digest": HELD.digest, "episode": "e1",
        "thread_id": thread, "run_id": run, "assistant_id": "agent",
        "checkpoint_id": state["checkpoint"]["checkpoint_id"],
    }  # fmt: skip


def operations() -> list[tuple[str, str]]:
    """Path and method of all that is documented."""
    paths = documented().openapi()["paths"]
    return [(path, method) for path, methods in paths.items() for method in methods]


@pytest.mark.parametrize(("path", "method"), operations())
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_documented(
    api: Any, known: dict[str, Any], path: str, method: str
) -> None:
    """Requests that keep to the document and that do not, with made-up and with known names."""
    operation = api[path][method.upper()]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
    )  # fmt: skip
    @given(case=cases, with_known=st.booleans())
    def holds(case: Any, with_known: bool) -> None:
        if with_known:
            for names in (case.path_parameters, case.body):
                if isinstance(names, dict):
                    names |= {name: known[name] for name in known.keys() & names.keys()}
        case.call_and_validate(headers=KEY, checks=CHECKS, timeout=20)

    holds()
