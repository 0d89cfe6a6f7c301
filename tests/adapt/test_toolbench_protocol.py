"""ToolLLaMA's protocol: settings, Finish, observations, the text template."""

import json
import time

import pytest

from adapt.evals.toolbench.protocol import (
    LIMITS,
    Setting,
    Status,
    observed,
    read_finish,
    read_text,
    template_prompt,
)
from store.errors import ConfigError


def test_the_two_published_settings_differ_in_depth() -> None:
    limits = {name: (limit.depth, limit.queries) for name, limit in LIMITS.items()}
    assert limits == {"toolbench": (12, 200), "stabletoolbench": (50, 200)}


@pytest.mark.parametrize(
    "wrong", [{"method": "cot"}, {"limits": "mine"}, {"format": "xml"}], ids=str
)
def test_an_unknown_setting_lists_the_known_ones(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))) as caught:
        Setting.of(wrong)
    assert caught.value.hint.startswith("there are: ")


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        ('{"return_type": "give_answer", "final_answer": "42"}', Status.FINAL_ANSWER, "42"),
        ('{"return_type": "give_answer", "final_answer": "a\nb"}', Status.FINAL_ANSWER, "a\nb"),
        ('{"return_type": "give_answer", "final_answer": ""}', Status.FINAL_ANSWER, ""),
        ('{"return_type": "give_answer", "final_answer": null}', Status.FINAL_ANSWER, ""),
        ('{"return_type": "give_answer", "final_answer": [1]}', Status.FINAL_ANSWER, "[1]"),
        ('{"return_type": "give_answer", "final_answer": "cut', Status.FINAL_ANSWER, "cut"),
        ('{"return_type": "give_answer"}', Status.BAD_INPUT, ""),
        ('{"return_type": "give_up_and_restart"}', Status.GAVE_UP, ""),
        ('{"return_type": "give_up_and_restart"', Status.GAVE_UP, ""),
        ('{"return_type": "stop"}', Status.BAD_INPUT, ""),
        ('{"final_answer": "42"}', Status.BAD_INPUT, ""),
        ("[1]", Status.BAD_INPUT, ""),
        ("", Status.BAD_INPUT, ""),
        ("[" * 100_000, Status.BAD_INPUT, ""),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_finish_is_read_leniently(arguments: str, status: Status, answer: str) -> None:
    end = read_finish(arguments)
    assert (end.status, end.answer) == (status, answer)
    assert "response" in json.loads(end.observation)


def test_an_observation_is_cut_at_1024_characters_and_three_dots() -> None:
    assert observed("x" * 1024) == "x" * 1024
    assert observed("x" * 1025) == "x" * 1024 + "..."


@pytest.mark.parametrize(
    ("text", "thought", "action", "given"),
    [
        ('Thought: look\nAction: f\nAction Input: {"a": 1}', "look", "f", '{"a": 1}'),
        ('Thought:\nAction: f\nAction Input: {"a": 1}\nThought: more', "", "f", '{"a": 1}'),
        ("Action: f\nAction Input: {'a': True}", "", "f", '{"a": true}'),
        ("Action: f\nAction Input: {broken", "", "f", "{broken"),
        ("Action: f", "", "f", ""),
        ("I cannot say.", "I cannot say.", "", ""),
        ("", "", "", ""),
    ],
)
def test_a_reply_in_the_template_is_taken_apart(
    text: str, thought: str, action: str, given: str
) -> None:
    read = read_text(text)
    assert (read.thought, read.action, read.action_input) == (thought, action, given)


@pytest.mark.parametrize(
    "hostile", ["{" * 100_000, "[" * 100_000, "{'a':" * 30_000, "Action:" * 30_000]
)
def test_a_hostile_reply_is_read_fast(hostile: str) -> None:
    began = time.monotonic()
    read_text(f"Action: f\nAction Input: {hostile}")
    read_text(hostile)
    assert time.monotonic() - began < 1.0


def test_the_template_names_the_roles_and_the_functions() -> None:
    messages = [
        {"role": "system", "content": "Do it."},
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "Thought: ask"},
        {"role": "tool", "content": "dry", "tool_call_id": "c"},
    ]
    text = template_prompt(messages, [{"type": "function", "function": {"name": "sky"}}])
    assert text.startswith("<s>System: Do it.")
    assert "{'name': 'sky'}" in text and "Action Input:" in text
    assert text.endswith("User: Rain?\nAssistant: Thought: ask\nFunction: dry\nAssistant:\n")
