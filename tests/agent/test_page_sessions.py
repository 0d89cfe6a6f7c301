"""Sessions by themselves, and pages over an application that has no more than a chat."""

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from agent_app import LIVE, client_of, open_store, reckoner, run, state_on
from pages import Visitor

from agent.fake_engine import FakeVllm
from agent.web.actions import PageActions
from agent.web.session import LASTS_S, Sessions


def test_a_session_comes_back_and_is_no_other(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    one, two = sessions.begin("abc"), sessions.begin("abc")
    assert sessions.read(sessions.cookie(one)) == one
    assert one.token != two.token


def test_sessions_outlive_the_process_and_not_their_secret(tmp_path: Path) -> None:
    """A restart logs nobody out; a secret that is gone, or torn by a kill, logs everybody out."""
    cookie = Sessions(tmp_path).cookie(Sessions(tmp_path).begin("abc"))
    assert Sessions(tmp_path).read(cookie) is not None
    secret = tmp_path / "pages.secret"
    secret.write_bytes(secret.read_bytes()[:7])
    assert Sessions(tmp_path).read(cookie) is None
    assert len(secret.read_bytes()) == 32


def test_a_session_ends(tmp_path: Path) -> None:
    """Well signed and over is over, whatever the browser still holds."""
    sessions = Sessions(tmp_path)
    session = sessions.begin("abc")
    assert session.until > time.time() + LASTS_S - 60
    assert sessions.read(sessions.cookie(replace(session, until=int(time.time()) - 1))) is None


@pytest.mark.parametrize(
    "cookie", [None, "", ".", "a.b", "e30.", "=.=", "\u00e9.\u00e9", "x" * 5000]
)
def test_what_is_no_cookie_of_ours_is_none(tmp_path: Path, cookie: str | None) -> None:
    assert Sessions(tmp_path).read(cookie) is None


def test_the_environments_key_logs_in_until_it_is_another(tmp_path: Path) -> None:
    """Whoever changes the key has ended the sessions that it began."""

    async def look() -> None:
        with open_store(tmp_path) as store:
            fake = FakeVllm(reckoner, served_name=LIVE)
            async with client_of(state_on(fake, store, api_key="first")) as client:
                visitor = Visitor(client)
                assert (await visitor.get("/")).status_code == 303
                assert (await visitor.log_in("wrong")).status_code == 401
                await visitor.log_in("first")
                assert (await visitor.get("/")).status_code == 200
                cookies = client.cookies
            async with client_of(state_on(fake, store, api_key="second")) as client:
                client.cookies = cookies
                assert (await client.get("/")).status_code == 303

    run(look())


def test_without_a_worker_there_is_the_chat_alone(tmp_path: Path) -> None:
    """The other pages say where they would be, and never break."""

    async def look() -> None:
        with open_store(tmp_path) as store:
            state = state_on(FakeVllm(reckoner, served_name=LIVE), store)
            async with client_of(state) as client:
                visitor = Visitor(client)
                lines = await visitor.ask("/ask/chat", text="1+1")
                assert lines[-1]["is"] == "done" and "2" in lines[-1]["html"]
                for path in ("/learning", "/sources", "/evals", "/learning/documents"):
                    reply = await visitor.get(path)
                    assert reply.status_code == 404 and "perennial up" in reply.text, path

    run(look())


def test_a_page_that_breaks_is_a_page(tmp_path: Path) -> None:
    """A mistake of ours is told where a visitor can read it, with the way back."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("nobody foresaw this")

    async def look() -> None:
        with open_store(tmp_path) as store:
            actions = PageActions(**{each.name: broken for each in fields(PageActions)})
            state = replace(state_on(FakeVllm(reckoner, served_name=LIVE), store), pages=actions)
            async with client_of(state) as client:
                visitor = Visitor(client)
                reply = await visitor.get("/learning")
                assert reply.status_code == 500 and "ZeroDivisionError" in reply.text
                assert "nobody foresaw" not in reply.text and 'href="/"' in reply.text
                part = await visitor.get("/learning/live", **{"HX-Request": "true"})
                assert part.status_code == 500 and "<html" not in part.text

    run(look())
