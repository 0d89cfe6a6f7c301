"""The corpus of attribution: three kinds of lines, sampled, and refused with the line at fault."""

import json
from pathlib import Path

import pytest
from tiny_models import build_tiny_tokenizer
from transformers import AutoTokenizer

from adapt.loki.corpus import PER_SUBJECT, read_corpus
from adapt.render import Renderer
from store.errors import ConfigError


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = build_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return Renderer(AutoTokenizer.from_pretrained(folder))


def written(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def talk(number: int) -> dict[str, object]:
    return {
        "messages": [
            {"role": "user", "content": f"number {number}"},
            {"role": "assistant", "content": f"it is {number}"},
        ]
    }


def question(subject: str, number: int) -> dict[str, object]:
    return {
        "subject": subject, "question": f"which is {number}?", "choices": ["one", "two"],
        "answer": "A",
    }  # fmt: skip


def test_conversations_are_sampled_and_cut_within_an_answer(
    renderer: Renderer, tmp_path: Path
) -> None:
    path = written(tmp_path / "talks.jsonl", [talk(n) for n in range(20)])
    corpus = read_corpus(path, renderer, prompts=5, seed=1)
    assert corpus.words == "5 conversations of talks.jsonl"
    for prompt in corpus.prompts:
        assert "assistant" in renderer.tokenizer.decode(prompt)
    again = read_corpus(path, renderer, prompts=5, seed=1)
    other = read_corpus(path, renderer, prompts=5, seed=2)
    assert again == corpus
    assert other.digest != corpus.digest


def test_prompts_are_asked_as_a_user_asks(renderer: Renderer, tmp_path: Path) -> None:
    path = written(tmp_path / "mine.jsonl", [{"prompt": "what is the weather"}])
    corpus = read_corpus(path, renderer)
    said = renderer.tokenizer.decode(corpus.prompts[0])
    assert said.endswith("<|im_start|>assistant\n")
    assert "what is the weather" in said


def test_mmlu_gives_fifty_questions_of_every_subject(renderer: Renderer, tmp_path: Path) -> None:
    """The first of each, with lettered choices, whatever the number of prompts asked for."""
    lines = [question(s, n) for n in range(60) for s in ("law", "art")]
    corpus = read_corpus(written(tmp_path / "mmlu.jsonl", lines), renderer, prompts=3)
    assert len(corpus.prompts) == 2 * PER_SUBJECT
    assert corpus.words == "100 MMLU questions of mmlu.jsonl"
    said = renderer.tokenizer.decode(corpus.prompts[0])
    assert "which is 0?\nA. one\nB. two" in said
    assert not any("which is 50?" in renderer.tokenizer.decode(p) for p in corpus.prompts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ('{"messages": []}\n{', "line 2 is not JSON"),
        ('{"text": "hello"}', "line 1 is nothing to ask"),
        ('{"prompt": " "}', "line 1 has no prompt"),
        ('{"messages": [{"role": "user", "content": 1}]}', "line 1 is no conversation"),
        ('{"question": "why?", "subject": "law"}', "line 1 is no MMLU question"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_line(
    renderer: Renderer, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_corpus(path, renderer)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_corpus(tmp_path / "none.jsonl", renderer)
