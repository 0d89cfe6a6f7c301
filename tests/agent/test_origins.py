"""Pages of other origins: which may have their scripts call what."""

from dataclasses import replace
from pathlib import Path

import pytest
from agent_app import client_of, open_store, run, state_on

from agent.config_sections import ServerSettings, Settings
from agent.fake_engine import FakeVllm

LOCAL, NAMED = "http://localhost:3000", "https://chat.example.org"


@pytest.mark.parametrize(
    ("origin", "path", "may"),
    [
        (LOCAL, "/threads/search", True),
        (LOCAL, "/v1/models", True),
        (LOCAL, "/admin/status", False),
        (LOCAL, "/documents", False),
        (NAMED, "/runs/stream", True),
        (NAMED, "/admin/rollback", False),
        ("https://elsewhere.example", "/threads/search", False),
        ("http://localhost.elsewhere.example", "/threads/search", False),
    ],
)
def test_a_browser_is_told_which_pages_may_call(
    tmp_path: Path, origin: str, path: str, may: bool
) -> None:
    async def work() -> None:
        with open_store(tmp_path) as store:
            state = state_on(FakeVllm(lambda *_: "hm"), store, api_key="k")
            server = ServerSettings(origins=(NAMED,))
            async with client_of(replace(state, settings=Settings(server=server))) as client:
                asks = {
                    "Origin": origin,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "x-api-key,content-type",
                }
                reply = await client.options(path, headers=asks)
                told = reply.headers.get("access-control-allow-origin")
                assert (told == origin) is may
                # Cookies are never sent along from elsewhere.
                assert "access-control-allow-credentials" not in reply.headers

    run(work())
