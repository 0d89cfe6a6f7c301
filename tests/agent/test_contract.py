"""The API against its own OpenAPI document: generated requests, and what they are answered with."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import schemathesis
from admin_actions import Worker
from agent_app import LIVE, NEXT, open_store, reckoner, state_on
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
from agent.api.app import create_app
from agent.api.state import AppState
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
EXAMPLES = 12
"""Requests to each operation."""
HELD = new_document(source="wiki", address="held", text="A text that waits for a person.")
EPISODE = Episode(id="e1", thread="t", version=LIVE, messages=(), steps=1, created_at=utc_now())
KNOWN = {
    "model": NEXT, "version": NEXT, "source": "wiki", "digest": HELD.digest, "episode": "e1",
    "stream": False,
}  # fmt: skip
KEY = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of an application with a key, over a scripted engine."""
    with open_store(tmp_path_factory.mktemp("contract")) as store:
        fake = FakeVllm(reckoner, served_name=LIVE, adapters={NEXT: "/adapter"})
        store.sources.add(Source(name="wiki", kind="posted", location="wiki", added_at=utc_now()))
        store.documents.add(HELD)
        store.reviews.hold({HELD.digest: [Finding(kind="trust", words="little trusted")]})
        store.episodes.add(EPISODE)
        state = state_on(fake, store, api_key="secret", actions=Worker().actions())
        state = replace(state, post=lambda name, given: post(store, state.settings, name, given))
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(state))


def operations() -> list[tuple[str, str]]:
    """Path and method of all that is documented. The document needs no state."""
    paths = create_app(cast(AppState, None)).openapi()["paths"]
    return [(path, method) for path, methods in paths.items() for method in methods]


@pytest.mark.parametrize(("path", "method"), operations())
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_documented(
    api: Any, path: str, method: str
) -> None:
    """Requests that keep to the document and that do not, with made-up and with known names."""
    operation = api[path][method.upper()]
    cases = st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=cases, known=st.booleans())
    def holds(case: Any, known: bool) -> None:
        if known:
            for given_names in (case.path_parameters, case.body):
                if isinstance(given_names, dict):
                    given_names |= {k: v for k, v in KNOWN.items() if k in given_names}
        case.call_and_validate(headers=KEY, checks=CHECKS)

    holds()
