"""IFEval's rules: each kept and broken, languages told, gold written, records read."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapt.evals.benchmarks import cases
from adapt.evals.items import Item
from adapt.evals.scoring.checks import mark_reply
from adapt.evals.scoring.instruction_gold import broken, gold_for
from adapt.evals.scoring.instruction_rules import RULES, holds, sentences_in
from adapt.evals.scoring.instructions import loose_variants
from adapt.evals.scoring.languages import LANGUAGES, languages_of
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply
from store.errors import ConfigError
from store.records import Message

AT_LEAST, LESS = "at least", "less than"
EXAMPLES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["Dog", "sun"]}, "A dog in sunlight", "a dog"),
    ("keywords:frequency", {"keyword": "dog", "frequency": 2, "relation": AT_LEAST},
     "Dog and dogs", "one dog"),
    ("keywords:frequency", {"keyword": "dog", "frequency": 2, "relation": LESS},
     "one dog", "dog dog"),
    ("keywords:forbidden_words", {"forbidden_words": ["no", "cat"]}, "nothing caught", "No."),
    ("keywords:letter_frequency", {"letter": "O", "let_frequency": 3, "let_relation": AT_LEAST},
     "Ohio, oh", "two"),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": LESS},
     "calm", "loud!"),
    ("language:response_language", {"language": "de"}, "Das ist nicht der Hund.",
     "This is not the dog."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": AT_LEAST},
     "Dr. Day went. He came!", "Dr. Day went."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": LESS},
     "It is 3.5 m.", "Yes. No."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo\n***", "one"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\none***two",
     "one\n***\n***\ntwo"),
    ("length_constraints:number_words", {"num_words": 3, "relation": AT_LEAST}, "a b-c", "a b"),
    ("length_constraints:number_words", {"num_words": 3, "relation": LESS}, "a b", "a b c"),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "sun"}, 'one\n\n"Sun, too',
     "sun\n\none"),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "sun"}, "Sun\n\ntwo",
     "sun\n\ntwo\n\nthree"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] and [b c]", "[a] [b"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Hi\np.s. ho", "Hi\nps ho"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Hi\nP.P.S. ho",
     "Hi\nP.S. ho"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b\n**c**", "* a"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**",
     "*a* and **"),
    ("detectable_format:multiple_sections", {"section_spliter": "Part", "num_sections": 2},
     "Part 1\na\nPart 2\nb", "Part 1\na\nPart b"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "x <<a b>>", "<< >>"),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it. "}, "say IT. Hello", "Hello"),
    ("startend:end_checker", {"end_phrase": "The end."}, '"All. the end."', "The end. Not"),
    ("change_case:capital_word_frequency",
     {"capital_frequency": 2, "capital_relation": AT_LEAST}, "NASA and I", "NASA and me"),
    ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": LESS},
     "Nasa", "NASA"),
    ("change_case:english_capital", {}, "THE DOG IS HERE", "The DOG"),
    ("change_case:english_capital", {}, "THE DOG", "DAS IST NICHT DER HUND"),
    ("change_case:english_lowercase", {}, "the dog is here", "the Dog"),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
    ("startend:quotation", {}, ' "all of it" ', '"'),
]  # fmt: skip
"""(rule, arguments, a text that keeps it, one that breaks it)."""


def mark(text: str, *rules: tuple[str, dict[str, Any]]) -> Mark:
    check = {
        "kind": "instructions",
        "instructions": [{"id": id, "arguments": given} for id, given in rules],
    }
    question = Message(role="user", content="?")
    item = Item(suite="s", slice="s", messages=(question,), check=check)
    return mark_reply(item, Reply(text, (), "stop", 1, 1, "m"))


@pytest.mark.parametrize(
    ("id", "given", "kept", "breaks"), EXAMPLES, ids=[f"{e[0]}-{n}" for n, e in enumerate(EXAMPLES)]
)
def test_a_rule_tells_what_keeps_it(id: str, given: Any, kept: str, breaks: str) -> None:
    """One text keeps it and another, close by, does not; silence keeps none."""
    assert holds(id, given, kept)
    assert not holds(id, given, breaks)
    assert not holds(id, given, " \n")


def test_every_published_rule_has_an_example() -> None:
    """The 25 ids of the paper's list."""
    assert len(RULES) == 25 and {example[0] for example in EXAMPLES} == set(RULES)


@pytest.mark.parametrize(
    ("id", "given"), [e[:2] for e in EXAMPLES], ids=[f"{e[0]}-{n}" for n, e in enumerate(EXAMPLES)]
)
def test_gold_keeps_each_rule_and_its_broken_form_does_not(id: str, given: Any) -> None:
    """The writer of replies knows nothing of the checks, and they agree."""
    one = {"id": id, "arguments": given}
    gold = gold_for([one])
    assert mark(gold, (id, given)).score == 1.0
    assert mark(broken(one, gold), (id, given)).score == 0.0


@pytest.mark.parametrize("language", sorted(LANGUAGES & {
    "en", "es", "pt", "ar", "hi", "fr", "ru", "de", "ja", "it", "bn", "uk", "th", "ur", "ta", "te",
    "bg", "ko", "pl", "he", "fa", "vi", "ne", "sw", "kn", "mr", "gu", "pa", "ml", "fi",
}))  # fmt: skip
def test_each_language_of_the_benchmark_is_told_from_all_others(language: str) -> None:
    """A few words are enough, whatever the case."""
    words = gold_for([{"id": "language:response_language", "arguments": {"language": language}}])
    assert languages_of(words) == {language} == languages_of(words.upper())


def test_a_text_without_a_languages_words_may_be_any_of_its_script() -> None:
    """Names and numbers decide nothing; an empty list of letters is no language."""
    assert {"en", "fi"} <= languages_of("Nokia") and "ru" not in languages_of("Nokia")
    assert languages_of("12 34 !") == frozenset()


def test_sentences_are_counted_past_abbreviations_numbers_and_other_scripts() -> None:
    """The cases that a count of full stops gets wrong."""
    assert sentences_in("Mr. Day paid 3.50 (e.g. in coins). Why?! He left") == 3
    assert sentences_in("यह घर है। वह घर है।") == 2 and sentences_in("犬だ。猫だ。") == 2
    assert sentences_in("...") == 0


def test_strict_and_loose_scores_part_where_a_first_line_is_too_many() -> None:
    """Strict takes the reply as it is; the measures say what the loose criterion would."""
    rules = (("punctuation:no_comma", {}), ("startend:quotation", {}))
    answer = mark('Sure, here it is:\n"The dog"', *rules)
    assert (answer.score, answer.measures) == (0.0, {"kept": 0.0, "loose": 1.0, "kept_loose": 1.0})
    half = mark("Sure, ok", ("punctuation:no_comma", {}), ("detectable_format:title", {}))
    assert half.detail == "broke punctuation:no_comma, detectable_format:title"
    assert mark("*a*", ("startend:quotation", {})).measures["kept"] == 0.0


def test_the_loose_criterion_has_eight_forms() -> None:
    """Without first line, last line or both, and each without asterisks."""
    assert loose_variants("a\n*b*\nc") == [
        "a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "piece", ["[", "*", "<<", "\n", " ", "- \n", "p.", ". ", "***", "a ", "1", "{", "\n\n", '"']
)
def test_a_hundred_thousand_tokens_are_checked_in_no_time(piece: str) -> None:
    """No rule searches the same text again from every place, and deep JSON is only no JSON."""
    started = time.process_time()
    mark(piece * (400_000 // len(piece)) + "x", *(example[:2] for example in EXAMPLES))
    assert time.process_time() - started < 30.0


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "retention" / "dev" / "ifeval.jsonl"
    file.parent.mkdir(parents=True)
    record = {
        "key": 7, "prompt": "Quote.", "instruction_id_list": ["length_constraints:number_words"],
        "kwargs": [{"num_words": 3.0, "relation": LESS, "keywords": None}], **changes,
    }  # fmt: skip
    file.write_text(json.dumps(record))
    return folder


def test_a_record_becomes_an_item_with_a_reply_that_passes(tmp_path: Path) -> None:
    """Arguments that no rule asks for are left out, and a whole number may be written as 3.0."""
    (case,) = cases("ifeval", written(tmp_path))
    assert case.item.name == "7" and case.item.slice == "length_constraints"
    (one,) = case.item.check["instructions"]
    assert one["arguments"] == {"num_words": 3, "relation": LESS}


def test_a_list_of_keywords_that_is_written_as_text_is_read(tmp_path: Path) -> None:
    """One published record has it so; letter by letter it could not be asked."""
    changes = {"instruction_id_list": ["keywords:existence"],
               "kwargs": [{"keywords": "['one', 'two']"}]}  # fmt: skip
    (case,) = cases("ifeval", written(tmp_path, **changes))
    assert case.item.check["instructions"][0]["arguments"] == {"keywords": ["one", "two"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instruction_id_list": ["keywords:none"]}, "unknown instruction"),
        ({"kwargs": []}, "1 instructions and 0 kwargs"),
        ({"instruction_id_list": [], "kwargs": []}, "0 instructions"),
        ({"kwargs": [{}]}, "num_words"),
        ({"kwargs": [{"num_words": 3, "relation": "about"}]}, "relation"),
        ({"instruction_id_list": ["language:response_language"],
          "kwargs": [{"language": "xx"}]}, "cannot be told"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_checked_is_named(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """The place and the argument are in the words of the error."""
    with pytest.raises(ConfigError, match=rf"ifeval.jsonl:1.*{words}"):
        list(cases("ifeval", written(tmp_path, **changes)))


def test_every_published_prompt_has_a_reply_that_passes(published_data: Path) -> None:
    """But for the one whose rules exclude each other."""
    found = list(cases("ifeval", published_data))
    failed = [
        case.item.name for case in found
        if mark_reply(case.item, Reply(case.gold.content, (), "stop", 1, 1, "m")).score != 1.0
    ]  # fmt: skip
    assert (len(found), failed) == (271, ["374"])
