"""A folder of ToolBench files as a universe: read, asked about, and answered."""

import json
import random
from pathlib import Path

import pytest

from store.errors import ConfigError
from tools.virtual_api.catalogue import schema_of
from tools.virtual_api.folder import read_catalogue
from tools.virtual_api.tasks import TaskWriter, judge


def api(name: str, **more) -> dict:
    return {"name": name, "description": f"Get the {name} of a place. More words.", "method": "GET",
            "required_parameters": [
                {"name": "plc", "type": "STRING", "description": "Name of the place.",
                 "default": "x"}],
            "optional_parameters": [{"name": "n", "type": "NUMBER", "description": ""}],
            **more}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for category, tool in (("Weather", "Sky Cast"), ("Weather", "Rainy"), ("Maps", "Atlas")):
        path = tmp_path / category / f"{tool.lower().replace(' ', '_')}.json"
        path.parent.mkdir(exist_ok=True)
        read = {"tool_name": tool, "tool_description": "d", "title": tool, "api_list": [
            api("forecast"), api("history")]}  # fmt: skip
        path.write_text(json.dumps(read))
    return tmp_path


def test_the_tools_are_those_of_the_files(folder: Path) -> None:
    catalogue = read_catalogue(folder)
    assert [t.name for t in catalogue.category("Weather")] == ["Rainy", "Sky Cast"]
    found = catalogue.by_function["forecast_for_sky_cast"]
    assert found.description == "get the forecast of a place"
    schema = schema_of(found)["function"]
    assert schema["parameters"]["required"] == ["plc"]
    assert schema["parameters"]["properties"]["n"]["type"] == "integer"


@pytest.mark.parametrize("kind", ["single", "cross"])
def test_the_reference_solution_solves_a_task(folder: Path, kind) -> None:
    """And the parameter's name is in no request: it has to be recalled."""
    catalogue = read_catalogue(folder)
    for seed in range(8):
        task = TaskWriter(catalogue, catalogue.tools, random.Random(seed), (3, 5)).write(kind)
        session = task.session(catalogue)
        for call in task.solution:
            assert "error" not in session.execute(call.function, call.arguments)
        assert judge(task, session, task.answer).solved, task
        assert "plc" not in task.query
        wrong = task.session(catalogue)
        assert "unknown parameter" in wrong.execute(task.solution[0].function, {"q": 1})["error"]


def test_other_arguments_give_another_reply(folder: Path) -> None:
    """A right answer must prove a right call."""
    catalogue = read_catalogue(folder)
    task = TaskWriter(catalogue, catalogue.tools, random.Random(0), (3, 5)).write("single")
    (call,) = task.solution
    session = task.session(catalogue)
    one = session.execute(call.function, call.arguments)
    assert session.execute(call.function, {**call.arguments, "plc": "elsewhere"}) != one


def test_what_is_no_folder_of_tools_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is not there"):
        read_catalogue(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no tool files"):
        read_catalogue(tmp_path / "empty")
    for read, lacks in (('{"tool_name": "Bad"}', "api_list"), ('{"type": "llama"}', "tool_name")):
        (folder / "Maps" / "bad.json").write_text(read)
        with pytest.raises(
            ConfigError, match=rf"bad\.json is no ToolBench tool: it has no {lacks}"
        ):
            read_catalogue(folder)
    with pytest.raises(ConfigError, match=r"bad\.json is a file"):
        read_catalogue(folder / "Maps" / "bad.json")
    (folder / "Maps" / "bad.json").write_text(
        json.dumps(
            {"tool_name": "Bad", "api_list": [api("a", optional_parameters=[{"name": "plc"}])]}
        )
    )
    with pytest.raises(ConfigError, match="stands twice"):
        read_catalogue(folder)
    (folder / "Maps" / "bad.json").write_text((folder / "Maps" / "atlas.json").read_text())
    with pytest.raises(ConfigError, match="both have forecast_for_atlas"):
        read_catalogue(folder)
