"""Rendering: which tokens of a conversation carry loss."""

from pathlib import Path

import pytest
from tiny_models import build_tiny_tokenizer
from transformers import AutoTokenizer

from adapt.render import Renderer, render
from store.errors import ConfigError, ModelError
from store.records import Example, Message

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return build_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(directory):
    return AutoTokenizer.from_pretrained(directory)


def conversation(*messages, tools=()):
    made = tuple(
        Message(role=role, content=content, tool_calls=calls, loss=loss)
        for role, content, calls, loss in messages
    )
    return Example(digest="e" * 64, kind="t", messages=made, tools=tools, documents=())


AGENT = conversation(
    ("user", "weather in Oslo?", (), False),
    ("assistant", "", (CALL,), True),
    ("tool", '{"sky": "grey"}', (), False),
    ("assistant", "It is grey.", (), True),
    tools=(TOOL,),
)


def spans(tokenizer, rendered):
    """Decoded runs of tokens with loss."""
    runs, run = [], []
    for token, loss in zip((*rendered.token_ids, 0), (*rendered.loss_mask, False), strict=True):
        if loss:
            run.append(token)
        elif run:
            runs.append(tokenizer.decode(run))
            run = []
    return runs


def test_loss_covers_answers_with_their_end_token_and_nothing_else(tokenizer):
    rendered = render(tokenizer, AGENT)
    call, answer = spans(tokenizer, rendered)
    assert "get_weather" in call and "Oslo" in call
    assert call.startswith("\n<tool_call>") or call.startswith("<tool_call>") or "\n" in call
    assert call.endswith("<|im_end|>")
    assert "assistant" not in call
    assert answer == "It is grey.<|im_end|>"


def test_the_tokens_are_the_text_of_the_template(tokenizer):
    rendered = render(tokenizer, AGENT)
    text = Renderer(tokenizer).text(AGENT.messages, AGENT.tools)
    assert tokenizer.decode(rendered.token_ids) == text
    assert len(rendered.token_ids) == len(rendered.loss_mask)


def test_prompt_tokens_are_those_that_a_server_would_see(tokenizer):
    """The prompt before an answer, tokenised alone, is a prefix of the training tokens."""
    rendered = render(tokenizer, AGENT)
    prompt = Renderer(tokenizer).text(AGENT.messages[:1], AGENT.tools, generation_prompt=True)
    ids = tuple(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    assert rendered.token_ids[: len(ids)] == ids
    assert not any(rendered.loss_mask[: len(ids)])
    assert rendered.loss_mask[len(ids)]


def test_only_marked_messages_carry_loss(tokenizer):
    example = conversation(
        ("user", "one", (), False),
        ("assistant", "first", (), False),
        ("user", "two", (), False),
        ("assistant", "second", (), True),
    )
    assert spans(tokenizer, render(tokenizer, example)) == ["second<|im_end|>"]


def test_a_generation_prompt_ends_where_the_model_would_answer(tokenizer):
    example = conversation(("user", "hello", (), False))
    rendered = render(tokenizer, example, generation_prompt=True)
    assert tokenizer.decode(rendered.token_ids).endswith("<|im_start|>assistant\n")
    assert not any(rendered.loss_mask)


def test_an_empty_thought_in_the_last_answer_only_is_told_apart(tokenizer):
    """As Qwen3's template does: a shorter conversation is then not a prefix of a longer one."""
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ message.content or '' }}",
        "{% if loop.last and message.role == 'assistant' %}<think></think>{% endif %}"
        "{{ message.content or '' }}",
    )
    call, answer = spans(tokenizer, render(tokenizer, AGENT))
    assert call.endswith("<|im_end|>") and "think" not in call and "grey" not in call
    assert answer == "<think></think>It is grey.<|im_end|>"


def test_a_template_that_rewrites_earlier_text_is_refused(tokenizer):
    tokenizer.chat_template = "{{ messages | length }}" + tokenizer.chat_template
    with pytest.raises(ModelError, match="rewrites earlier text"):
        render(tokenizer, AGENT)


def test_loss_on_another_role_is_refused(tokenizer):
    example = conversation(("user", "x", (), True))
    with pytest.raises(ConfigError, match="message 0"):
        render(tokenizer, example)


def test_a_tokenizer_without_a_template_is_refused(tokenizer):
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        Renderer(tokenizer)


def test_a_conversation_that_the_template_refuses_is_named(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ModelError, match="roles must alternate"):
        render(tokenizer, AGENT)
