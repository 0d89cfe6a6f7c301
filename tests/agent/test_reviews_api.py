"""Reviews over HTTP: what waits, and who may decide."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from agent_app import client_of, open_store, reckoner, run, state_on

from agent.fake_engine import FakeVllm
from store.normal import new_document
from store.source_records import Finding
from store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        document = new_document(source="web", address="web/a", text="A held text.")
        opened.documents.add(document)
        opened.reviews.hold({document.digest: [Finding(kind="volume", words="came with many")]})
        yield opened


def ask(
    store: Store, method: str, path: str, key: str = "secret", **given: object
) -> httpx.Response:
    state = state_on(FakeVllm(reckoner), store, api_key="secret")

    async def asked() -> httpx.Response:
        async with client_of(state) as client:
            headers = {"Authorization": f"Bearer {key}"}
            return await client.request(method, path, headers=headers, **given)  # type: ignore[arg-type]

    return run(asked())


def test_what_waits_is_listed_and_shown_with_its_text(store: Store) -> None:
    listed = ask(store, "GET", "/reviews").json()
    assert listed["waiting"] == 1
    (row,) = listed["reviews"]
    assert row["findings"][0]["words"] == "came with many" and "text" not in row
    assert ask(store, "GET", f"/reviews/{row['document']}").json()["text"] == "A held text."
    assert ask(store, "GET", f"/reviews/{'f' * 64}").status_code == 404


def test_a_decision_is_made_once_with_a_reason(store: Store) -> None:
    digest = ask(store, "GET", "/reviews").json()["reviews"][0]["document"]
    path = f"/reviews/{digest}"
    assert ask(store, "POST", path, json={"decision": "accepted", "why": ""}).status_code == 400
    done = ask(store, "POST", path, json={"decision": "accepted", "why": "ours"})
    assert done.status_code == 200 and done.json()["state"] == "accepted"
    assert ask(store, "GET", "/reviews").json() == {"waiting": 0, "reviews": []}
    again = ask(store, "POST", path, json={"decision": "withdrawn", "why": "no"})
    assert again.status_code == 409


def test_whoever_has_no_key_sees_and_decides_nothing(store: Store) -> None:
    for method, path in (("GET", "/reviews"), ("POST", "/reviews/x")):
        given = {"json": {"decision": "accepted", "why": "x"}} if method == "POST" else {}
        assert ask(store, method, path, key="wrong", **given).status_code == 401
