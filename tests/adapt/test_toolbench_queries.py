"""Query files of ToolBench: what is read, and that every fault names its place."""

from pathlib import Path
from typing import Any

import pytest
from toolbench_cases import record, write_queries

from adapt.evals.toolbench.queries import CATEGORIES, read_queries
from store.errors import ConfigError, NotFoundError


def api(**changes: Any) -> list[dict[str, Any]]:
    """The only API of a record, changed."""
    return [{**record()["api_list"][0], **changes}]


def test_a_query_keeps_its_apis_and_the_places_of_the_relevant_ones(tmp_path: Path) -> None:
    (query,) = read_queries(write_queries(tmp_path / "q.json", record()))
    assert (query.id, query.text, query.relevant) == ("7", "Will it rain?", (0,))
    (found,) = query.apis
    assert (found.category, found.tool, found.name) == ("Weather", "Sky Watch", "Forecast")
    assert found.parameters[0].default == "Kyoto" and found.parameters[0].required


def test_a_relevant_api_that_stands_twice_counts_once(tmp_path: Path) -> None:
    twice = record(**{"relevant APIs": [["Sky Watch", "Forecast"]] * 2})
    (query,) = read_queries(write_queries(tmp_path / "q.json", twice))
    assert query.relevant == (0,)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (record(query=None), "record 2 lacks 'query'"),
        (record(query=" "), "record 2: the query is empty"),
        (record(query_id=None), "record 2 lacks 'query_id'"),
        (record(api_list=None), "record 2 lacks 'api_list'"),
        (record(api_list=[]), "record 2 offers no API"),
        (record(api_list=["Forecast"]), "record 2, API 1 is no JSON object"),
        (record(api_list=api(category_name="Astrology")), "'Astrology' is no category"),
        (record(api_list=api(tool_name=5)), "'tool_name' is of type int"),
        (record(api_list=api(required_parameters="city")), "'required_parameters' is of type str"),
        (record(api_list=api(optional_parameters=[{"name": "x"}])), "lacks 'type'"),
        (record(api_list=api(optional_parameters=["x"])), "optional_parameters 1 is no JSON"),
        (record(**{"relevant APIs": []}), "record 2 has no relevant APIs"),
        (record(**{"relevant APIs": [["Sky Watch", "Tides"]]}), "'Tides'] is not in its api_list"),
        (record(**{"relevant APIs": [5]}), "the relevant API 5 is not in"),
        (record(query_id=1), "record 2: the query id 1 stands twice"),
        (["no", "object"], "record 2 is no JSON object"),
    ],
)  # fmt: skip
def test_a_broken_record_is_named_with_its_file(tmp_path: Path, broken: Any, words: str) -> None:
    path = write_queries(tmp_path / "q.json", record(query_id=1), broken)
    with pytest.raises(ConfigError) as caught:
        list(read_queries(path))
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent"):
        list(read_queries(tmp_path / "absent.json"))


def test_all_published_queries_are_read(published_data: Path) -> None:
    counts: dict[str, int] = {}
    categories: set[str] = set()
    for path in sorted((published_data / "stabletoolbench" / "dev").glob("G*.json")):
        queries = list(read_queries(path))
        counts[path.stem] = len(queries)
        categories |= {api.category for query in queries for api in query.apis}
    assert counts == {"G1_instruction": 163, "G1_tool": 158, "G2_instruction": 106}
    assert len(categories) > 30 and categories <= CATEGORIES
