"""The assistant's tools as the settings name them: terms, sources that fail, and the commands."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Run, in_process

from adapt.toolbox import Toolbox, open_toolbox, terms_of
from agent.config import load_settings
from agent.config_sections import Settings
from agent.config_tools import ToolsSettings
from store.embeddings import HashEmbedder
from store.home import Home
from store.store import Store
from tools.base import CallContext, Terms

SERVER = Path(__file__).resolve().parents[1] / "tool_server.py"
PETS = {
    "openapi": "3.0.0", "servers": [{"url": "http://127.0.0.1:9/v1"}],
    "paths": {
        "/pets": {"get": {"operationId": "list"}, "delete": {"operationId": "wipe"}},
        "upload": {"get": {"operationId": "lost"}},
    },
}  # fmt: skip


def command(mode: str) -> list[str]:
    return [sys.executable, str(SERVER), mode]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        yield store


def boxed(
    store: Store, tools: dict[str, Any], work: Callable[[Toolbox], Awaitable[Any]], **more: Any
) -> Any:
    """Do something with the tools of these settings."""

    async def scenario() -> Any:
        settings = Settings.model_validate({"tools": tools} | more)
        async with open_toolbox(store, settings, within_s=None) as toolbox:
            return await work(toolbox)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(
    ("model", "universe", "many"),
    [("pico", None, True), ("other", None, False), ("other", True, True), ("pico", False, False)],
)
def test_the_universe_is_offered_to_the_model_that_knows_it(
    store: Store, model: str, universe: bool | None, many: bool
) -> None:
    async def names(toolbox: Toolbox) -> list[str]:
        return toolbox.registry.names()

    given = {} if universe is None else {"universe": universe}
    found = boxed(store, given, names, model=model)
    assert found[:2] == ["search_documents", "calculate"]
    assert (len(found) > 2) is many


def test_all_kinds_of_tools_are_there_each_on_its_terms(store: Store, tmp_path: Path) -> None:
    """What changes something and what an MCP server does is asked about; a rule stands over it."""
    pets = tmp_path / "pets.json"
    pets.write_text(json.dumps(PETS))
    tools = {
        "universe": False,
        "rules": {
            "environment_*": {"permission": "deny"},
            "fails_*": {"permission": "allow", "timeout_s": 1},
            "*_for_weather": {"timeout_s": 2, "max_chars": 100},
        },
        "python": {"enabled": True, "max_chars": 300},
        "mcp": {"weather": {"command": command("good"), "max_chars": 400}},
        "openapi": {"zoo": {"location": str(pets), "called": "pets", "timeout_s": 9}},
    }

    async def look(toolbox: Toolbox) -> None:
        assert {name: toolbox.terms(name) for name in toolbox.origins} == {
            "search_documents": Terms(), "calculate": Terms(),
            "run_python": Terms("allow", 30.0, 300),
            "forecast_for_weather": Terms("confirm", 2, 100),
            "environment_for_weather": Terms("deny", 2, 100),
            "fails_for_weather": Terms("allow", 1, 100),
            "list_for_pets": Terms("allow", 9, 2000),
            "wipe_for_pets": Terms("confirm", 9, 2000),
        }  # fmt: skip
        assert "environment_for_weather" not in toolbox.registry.names()
        assert toolbox.origins["list_for_pets"] == "openapi zoo"
        assert set(toolbox.sources["openapi zoo"].dropped) == {"lost"}
        text = await toolbox.registry.call("fails_for_weather", '{"city": "x"}', CallContext("t"))
        assert "no such city" in text.text

    boxed(store, tools, look)


@pytest.mark.parametrize(
    ("usual", "begins", "is_"),
    [("allow", "confirm", "confirm"), ("confirm", "allow", "confirm"), ("deny", "allow", "deny"),
     ("allow", "allow", "allow"), ("deny", "confirm", "deny")],
)  # fmt: skip
def test_what_holds_for_all_tools_can_only_be_stricter(usual: Any, begins: Any, is_: str) -> None:
    settings = ToolsSettings(permission=usual)
    assert terms_of(settings, "x", None, begins).permission == is_


def test_a_source_that_fails_costs_its_own_tools_alone(store: Store, tmp_path: Path) -> None:
    """It is named with the reason: a server that is away or slow, a document that is none, a
    variable that is not set, a function that nobody has."""
    (tmp_path / "none.json").write_text("[]")
    tools = {
        "universe": False,
        "functions": ["unheard_of"],
        "mcp": {
            "weather": {"command": command("good")},
            "slow": {"command": command("slow"), "start_timeout_s": 0.5},
            "away": {"url": "http://127.0.0.1:9/mcp"},
            "absent": {"command": ["no-such-program-here"]},
            "unset": {"command": command("good"), "env": ["PERENNIAL_NO_SUCH_VARIABLE"]},
        },
        "openapi": {
            "none": {"location": str(tmp_path / "none.json")},
            "inside": {"location": "http://127.0.0.1:9999/openapi.json"},
        },
        "toolbench": {"gone": {"folder": str(tmp_path / "x"), "server": "http://127.0.0.1:9"}},
    }

    async def look(toolbox: Toolbox) -> None:
        assert "forecast_for_weather" in toolbox.registry.names()
        words = {
            "mcp weather": "", "mcp slow": "within 0.5 s", "mcp away": "cannot be asked",
            "mcp absent": "no-such-program-here", "mcp unset": "PERENNIAL_NO_SUCH_VARIABLE",
            "openapi none": "no object", "openapi inside": "is loopback",
            "toolbench gone": "is no folder",
        }  # fmt: skip
        for name, said in words.items():
            assert said in toolbox.sources[name].problem, name
            assert toolbox.sources[name].loaded is (said == "")
        assert "no installed package" in toolbox.problems["function unheard_of"]

    boxed(store, tools, look)


def test_a_start_does_not_wait_for_a_slow_source_and_its_tools_join(store: Store) -> None:
    async def scenario() -> None:
        tools = {"universe": False, "mcp": {"weather": {"command": command("good")}}}
        settings = Settings.model_validate({"tools": tools})
        async with open_toolbox(store, settings, within_s=0.0) as toolbox:
            assert toolbox.registry.names() == ["search_documents", "calculate"]
            await toolbox.ready()
            assert "forecast_for_weather" in toolbox.registry.names()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_only_the_tools_that_are_named_are_offered(store: Store) -> None:
    async def names(toolbox: Toolbox) -> list[str]:
        return toolbox.registry.names()

    weather = {"command": command("good"), "only": ["forecast", "unheard_of"]}
    found = boxed(store, {"universe": False, "mcp": {"weather": weather}}, names)
    assert found == ["search_documents", "calculate", "forecast_for_weather"]


@pytest.fixture
def perennial(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:  # fmt: skip
    """The command line on a home with a server of tools."""
    words = ", ".join(map(json.dumps, command("good")))
    (tmp_path / "home" / "perennial.toml").write_text(
        f"[tools]\nuniverse = false\n[tools.mcp.weather]\ncommand = [{words}]\n"
        "[tools.mcp.away]\nurl = 'http://127.0.0.1:9/mcp'\n"
    )
    load_settings(tmp_path / "home")
    store.close()
    return in_process(capsys, monkeypatch, ["--home", str(tmp_path / "home")])


def test_tools_are_listed_tested_and_called_by_hand(perennial: Run) -> None:
    """A call that must be confirmed is not made without a yes."""
    listed = perennial("tools", "list", "--json").json
    assert {row["name"]: row["permission"] for row in listed["tools"]} == {
        "search_documents": "allow", "calculate": "allow", "forecast_for_weather": "confirm",
        "environment_for_weather": "confirm", "fails_for_weather": "confirm",
    }  # fmt: skip
    assert "mcp away" in listed["problems"]
    assert "forecast_for_weather" in perennial("tools").out

    tested = perennial("tools", "test")
    assert tested.code == 1 and "cannot be asked" in tested.out
    assert perennial("tools", "test", "mcp weather").code == 0
    assert "there are: mcp weather, mcp away" in perennial("tools", "test", "x").err

    assert perennial("tools", "call", "calculate", '{"expression": "6*7"}').out == (
        '{"result": 42}\n'
    )
    forecast = ("tools", "call", "forecast_for_weather", '{"city": "Ys"}')
    refused = perennial(*forecast)
    assert refused.code == 2 and "give --yes" in refused.err
    assert perennial(*forecast, "--yes").out == '{"city": "Ys"}\n'
    failed = perennial("tools", "call", "fails_for_weather", '{"city": "Ys"}', "--yes")
    assert failed.code == 1 and "no such city" in failed.out
    assert "not JSON" in perennial("tools", "call", "calculate", "{").err
    assert "there are: calculate" in perennial("tools", "call", "calculat").err


def test_the_environment_of_a_server_is_what_the_settings_name(store: Store) -> None:
    os.environ["GIVEN_TO_A_TEST"] = "1"

    async def look(toolbox: Toolbox) -> str:
        context = CallContext("t", confirmed=True)
        given = '{"city": "x"}'
        return (await toolbox.registry.call("environment_for_weather", given, context)).text

    try:
        weather = {"command": command("good"), "env": ["GIVEN_TO_A_TEST"]}
        told = boxed(store, {"universe": False, "mcp": {"weather": weather}}, look)
        assert "GIVEN_TO_A_TEST" in json.loads(told)["variables"]
    finally:
        del os.environ["GIVEN_TO_A_TEST"]
