"""Administration over HTTP: each action, its refusals, and who may ask."""

import httpx
from admin_actions import Worker
from agent_app import LIVE, NEXT, client_of, reckoner, run, state_on

from agent.api.state import Actions, AppState
from agent.fake_engine import FakeVllm
from store.store import Store


def state_with(store: Store, actions: Actions | None, api_key: str | None = None) -> AppState:
    fake = FakeVllm(reckoner, served_name=LIVE)
    return state_on(fake, store, actions=actions, api_key=api_key)


def ask(
    state: AppState, method: str, path: str, body: object = None, client: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
) -> httpx.Response:  # fmt: skip
    async def work() -> httpx.Response:
        async with client_of(state, client) as http:
            return await http.request(method, path, json=body, headers=headers)

    return run(work())


def test_status_and_promote_pass_through(store: Store) -> None:
    worker = Worker()
    state = state_with(store, worker.actions())
    assert ask(state, "GET", "/admin/status").json() == {"live": LIVE, "running": False}
    done = ask(state, "POST", "/admin/promote", {"version": NEXT})
    assert (done.status_code, done.json()) == (200, {"live": NEXT, "previous": LIVE})
    assert worker.asked == [NEXT]


def test_documents_are_withdrawn_by_their_digests(store: Store) -> None:
    worker = Worker()
    state = state_with(store, worker.actions())
    done = ask(state, "POST", "/admin/withdraw", {"documents": ["a", "b"]})
    assert (done.status_code, done.json()["cycle"], worker.asked) == (200, 2, ["a", "b"])
    assert ask(state, "POST", "/admin/withdraw", {"documents": "a"}).status_code == 400


def test_a_second_update_is_a_conflict(store: Store) -> None:
    """And so is a consolidation beside it."""
    state = state_with(store, Worker().actions())
    done = ask(state, "POST", "/admin/consolidate")
    assert (done.status_code, done.json()["live"]) == (200, NEXT)
    assert ask(state, "POST", "/admin/update").status_code == 202
    for path in ("/admin/update", "/admin/consolidate"):
        second = ask(state, "POST", path)
        assert second.status_code == 409
        assert "perennial cycles" in second.json()["error"]["message"]


def test_refusals_say_why(store: Store) -> None:
    state = state_with(store, Worker().actions())
    assert ask(state, "POST", "/admin/rollback").status_code == 409
    unknown = ask(state, "POST", "/admin/promote", {"version": "v9"})
    assert (unknown.status_code, LIVE in unknown.text) == (404, True)
    nameless = ask(state, "POST", "/admin/promote", {})
    assert (nameless.status_code, nameless.json()["error"]["param"]) == (400, "version")


def test_only_this_machine_or_the_key_may_ask(store: Store) -> None:
    actions = Worker().actions()
    open_state = state_with(store, actions)
    outside = "203.0.113.5"
    assert ask(open_state, "POST", "/admin/update", client=outside).status_code == 403
    locked = state_with(store, actions, api_key="secret")
    assert ask(locked, "GET", "/admin/status").status_code == 401
    key = {"Authorization": "Bearer secret"}
    assert ask(locked, "GET", "/admin/status", client=outside, headers=key).status_code == 200


def test_a_server_without_actions_has_no_administration(store: Store) -> None:
    assert ask(state_with(store, None), "GET", "/admin/status").status_code == 404
