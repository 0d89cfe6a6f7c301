"""ToolLLaMA's function names and schemas."""

import re
from dataclasses import replace

import pytest
from toolbench_cases import ALERTS, ALERTS_NAME, CITY, FORECAST, FORECAST_NAME, MENU, MENU_NAME

from adapt.evals.toolbench.functions import (
    example_arguments,
    finish_schema,
    function_name,
    function_names,
    problem_of,
    schema_of,
)
from adapt.evals.toolbench.queries import Api, Parameter
from store.errors import ConfigError


@pytest.mark.parametrize(
    ("api", "tool", "name"),
    [
        ("Transfermarkt search", "TheClique", "transfermarkt_search_for_theclique"),
        ("/v1/animals", "Animals by API-Ninjas", "v1_animals_for_animals_by_api_ninjas"),
        ("24 hours", "168predict", "get_24_hours_for_get_168predict"),
        ("from", "class", "is_from_for_class"),
        ("A__b  (c)", "T.", "a_b_c_for_t"),
    ],
)
def test_names_are_toolllamas(api: str, tool: str, name: str) -> None:
    assert function_name(api, tool) == name


def test_of_a_long_name_the_last_64_characters_stay() -> None:
    name = function_name("x" * 80, "my tool")
    assert name == "x" * 52 + "_for_my_tool" and len(name) == 64


def test_names_that_the_cut_makes_equal_are_told_apart() -> None:
    apis = [replace(FORECAST, name=f"{first} {'forecast ' * 9}") for first in ("old", "new", "hot")]
    names = function_names(apis)
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", name) for name in names)
    assert names[1].endswith("_for_sky_watch_2") and names[2].endswith("_for_sky_watch_3")


def test_an_api_without_letters_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="天气"):
        function_names([replace(FORECAST, name="天气")])


def test_names_of_a_query_come_in_its_order() -> None:
    assert function_names([FORECAST, ALERTS, MENU]) == [FORECAST_NAME, ALERTS_NAME, MENU_NAME]


def test_a_schema_has_types_examples_and_both_lists() -> None:
    shown = schema_of(FORECAST_NAME, FORECAST)["function"]["parameters"]
    assert shown == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "where", "example_value": "Kyoto"},
            "days": {"type": "integer", "description": "how many", "example_value": 3},
        },
        "required": ["city"],
        "optional": ["days"],
    }


def test_optional_parameters_are_shown_of_an_api_that_requires_none() -> None:
    api = replace(FORECAST, parameters=FORECAST.parameters[1:])
    assert list(schema_of("f", api)["function"]["parameters"]["properties"]) == ["days"]


def test_a_reserved_parameter_gets_a_prefix_and_a_repeated_one_is_shown_once() -> None:
    again = Parameter("ID", "NUMBER", "", 4, required=False)
    shown = schema_of("f", replace(MENU, parameters=(*MENU.parameters, again)))
    assert list(shown["function"]["parameters"]["properties"]) == ["is_id"]
    assert shown["function"]["parameters"]["required"] == ["is_id"]
    assert shown["function"]["parameters"]["optional"] == []


def test_long_descriptions_are_cut() -> None:
    api = replace(
        FORECAST, description="d" * 999, parameters=(replace(CITY, description="p" * 999),)
    )
    function = schema_of("f", api)["function"]
    assert (
        function["description"].count("d" * 256) == 1 and "d" * 257 not in function["description"]
    )
    assert function["parameters"]["properties"]["city"]["description"] == "p" * 256


def test_odd_types_are_strings() -> None:
    api = Api("Data", "T", "a", parameters=(Parameter("x", "DATE (YYYY-MM-DD)", "", "", True),))
    assert schema_of("f", api)["function"]["parameters"]["properties"]["x"]["type"] == "string"


def test_example_arguments_are_the_required_ones_and_fit() -> None:
    assert example_arguments(FORECAST) == {"city": "Kyoto"}
    assert example_arguments(MENU) == {"is_id": "example"}
    assert problem_of(schema_of("f", MENU), example_arguments(MENU)) == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "missing city"),
        ({"city": "K", "wind": 1}, "unknown wind"),
        (["K"], "not a JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_told(given: object, words: str) -> None:
    assert words in problem_of(schema_of("f", FORECAST), given)


def test_finish_requires_only_the_return_type() -> None:
    function = finish_schema()["function"]
    assert function["name"] == "Finish" and function["parameters"]["required"] == ["return_type"]
