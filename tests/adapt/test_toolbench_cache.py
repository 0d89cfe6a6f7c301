"""Recorded replies: found whatever the order of the arguments, broken files named."""

from pathlib import Path

import pytest
from toolbench_cases import FORECAST, MENU, body, write_replies

from adapt.evals.toolbench.cache import ReplyCache
from adapt.evals.toolbench.queries import Api
from store.errors import ConfigError, NotFoundError


def test_the_order_of_the_arguments_does_not_matter(tmp_path: Path) -> None:
    write_replies(
        tmp_path, {str({"city": "Kyoto", "days": 2, "wet": True, "sky": None}): body("dry")}
    )
    cache = ReplyCache(tmp_path)
    given = {"sky": None, "wet": True, "days": 2, "city": "Kyoto"}
    assert cache.find(FORECAST, given) == body("dry")
    assert cache.find(FORECAST, {**given, "days": 3}) is None


def test_keys_written_as_json_are_found_as_well(tmp_path: Path) -> None:
    write_replies(tmp_path, {'{"city": "Kyoto"}': body("dry"), "": body("all")})
    assert ReplyCache(tmp_path).find(FORECAST, {"city": "Kyoto"}) == body("dry")


def test_an_api_without_a_file_has_no_replies(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    assert cache.find(MENU, {}) is None and cache.examples(MENU) == {}


def test_names_are_those_of_the_published_layout(tmp_path: Path) -> None:
    write_replies(tmp_path, {"{}": body("menu")}, "Food/table_9_for_Food/is_id")
    assert ReplyCache(tmp_path).find(MENU, {}) == body("menu")


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    write_replies(tmp_path, {"{}": body("secret")}, "outside")
    api = Api("Weather", "../..", "../../../outside")
    assert ReplyCache(tmp_path / "cache").find(api, {}) is None


def test_at_most_five_short_examples_are_given_in_order(tmp_path: Path) -> None:
    replies = {str({"city": str(n)}): body("x" * (10 if n else 9)) for n in range(9)}
    write_replies(tmp_path, replies)
    assert list(ReplyCache(tmp_path).examples(FORECAST)) == [f'{{"city": "{n}"}}' for n in range(5)]
    write_replies(tmp_path, {str({"city": str(n)}): body("x" * 1200) for n in range(9)})
    assert len(ReplyCache(tmp_path).examples(FORECAST)) == 1


@pytest.mark.parametrize("broken", ["{", "[]", '{"{}": "dry"}'])
def test_a_broken_file_is_named(tmp_path: Path, broken: str) -> None:
    path = write_replies(tmp_path, broken)
    with pytest.raises(ConfigError) as caught:
        ReplyCache(tmp_path).find(FORECAST, {})
    assert str(path) in caught.value.message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        ReplyCache(tmp_path / "nowhere")


def test_a_hostile_key_is_no_arguments(tmp_path: Path) -> None:
    write_replies(
        tmp_path, {"{" * 9_000: body("a"), "{'a': " * 1_500: body("b"), "{'a'}": body("c")}
    )
    assert ReplyCache(tmp_path).find(FORECAST, {}) is None
