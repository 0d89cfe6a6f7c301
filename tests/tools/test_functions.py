"""Python functions as tools, by entry points as an installed package has them."""

import asyncio
import json
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from store.errors import ConfigError, ToolRetry
from tools.base import CallContext
from tools.calculate import Calculate
from tools.functions import GROUP, functions, tool_of

MODULE = '''
import threading
from tools.calculate import Calculate

def weather(city: str, days: int = 3, title: str = "") -> dict:
    """The weather
    of a city."""
    return {"city": city, "days": days, "thread": threading.current_thread().name}

async def later(seconds: float) -> str:
    return f"after {seconds}"

def untyped(*things):
    return things

def breaks() -> str:
    raise RuntimeError("its own fault")

class Reckoner(Calculate):
    pass

number = 3
'''


@pytest.fixture
def package(tmp_path: Path) -> Any:
    """Entry points into a module that is there for the test."""
    (tmp_path / "tools_of_a_test.py").write_text(MODULE)
    sys.path.insert(0, str(tmp_path))
    names = ("weather", "later", "untyped", "breaks", "Reckoner", "number", "absent")
    yield [EntryPoint(name, f"tools_of_a_test:{name}", GROUP) for name in names]
    sys.path.remove(str(tmp_path))
    sys.modules.pop("tools_of_a_test", None)


def said(tool: Any, **arguments: Any) -> str:
    return asyncio.run(tool.call(arguments, CallContext("t")))


def test_a_function_is_described_by_its_own_words(package: Any) -> None:
    (tool,), wrong = functions(["weather"], package)
    assert wrong == {}
    assert (tool.spec.name, tool.spec.description) == ("weather", "The weather of a city.")
    assert tool.spec.parameters["required"] == ["city"]
    assert set(tool.spec.parameters["properties"]) == {"city", "days", "title"}
    assert tool.spec.parameters["properties"]["days"] == {"type": "integer", "default": 3}


def test_arguments_are_checked_and_the_function_does_not_block(package: Any) -> None:
    weather, later = functions(["weather", "later"], package)[0]
    told = json.loads(said(weather, city="Ys", days=2))
    assert (told["city"], told["days"]) == ("Ys", 2)
    assert told["thread"] != threading.main_thread().name
    assert said(later, seconds=2) == "after 2.0"
    for arguments in ({}, {"city": 3}, {"city": "Ys", "dayz": 3}):
        with pytest.raises(ToolRetry, match=r"parameter (city|dayz)"):
            said(weather, **arguments)


def test_only_those_that_are_named_are_offered_and_faults_are_told(package: Any) -> None:
    """A package that breaks when it is imported breaks nothing else."""
    names = ["untyped", "number", "absent", "unheard_of", "Reckoner"]
    made, wrong = functions(names, package)
    assert [type(tool).__bases__ for tool in made] == [(Calculate,)]
    assert "cannot be a tool" in wrong["untyped"]
    assert "no function but int" in wrong["number"]
    assert "absent" in wrong["absent"]
    assert "there are: Reckoner, absent" in wrong["unheard_of"]


def test_what_a_function_raises_is_its_callers_to_tell(package: Any) -> None:
    (breaks,), _ = functions(["breaks"], package)
    with pytest.raises(RuntimeError, match="its own fault"):
        said(breaks)


def test_a_tool_that_is_one_already_stays_as_it_is() -> None:
    made = Calculate()
    assert tool_of("calculate", made) is made
    with pytest.raises(ConfigError, match="is no function"):
        tool_of("x", object())
