"""Replies that keep all of an IFEval item's rules, and replies that break one: no data has either.

Writes plain nonsense in the asked form. Where rules exclude each other there is no such reply, and
what is written breaks one of them. Called by the loader of IFEval and
adapt.evals.selfchecking.corruptions.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from adapt.evals.scoring.instruction_rules import CONSTRAINED

Instruction = Mapping[str, Any]
"""`{"id": ..., "arguments": {...}}`."""

_FILLER = {
    "en": "we will go to the old mill and see how it is there with our dogs at this hour of day",
    "es": "el perro de la casa que es muy grande está con los niños en una plaza",
    "pt": "o cão da casa que é muito grande não está com as crianças na praça",
    "fr": "le chien de la maison qui est dans une rue avec les enfants ne dort pas",
    "de": "der Hund und die Katze sind nicht in dem Haus das auf einer Wiese ist",
    "it": "il cane della casa che è molto grande non è con i bambini nella piazza",
    "pl": "pies i kot nie są w domu który jest na łące za rzeką",
    "vi": "con chó và con mèo là những người bạn của tôi trong nhà này",
    "sw": "mbwa na paka ni marafiki wa watu katika nyumba ya baba yangu",
    "fi": "koira ja kissa on talossa mutta se ei ole siellä kun minä olen",
    "ru": "собака и кошка не были в доме как это было у нас",
    "uk": "собака і кішка не були в домі що є за рікою та лісом",
    "bg": "кучето и котката не са в къщата която е на брега",
    "ar": "كان الكلب في هذا البيت من قبل ثم ذهب إلى كل مكان",
    "fa": "سگ و گربه در این خانه است که از آن می رود",
    "ur": "کتا اور بلی اس گھر میں ہے جو کہ کے پاس نہیں",
    "hi": "यह कुत्ता और बिल्ली का घर है जो नदी के पास में है",
    "mr": "हे घर आणि ते झाड आहे पण मी तो नाही",
    "ne": "यो घर र त्यो रूख हो तर म छैन छ",
    "bn": "এই বাড়িতে একটি কুকুর আছে", "gu": "આ ઘરમાં એક કૂતરો છે", "pa": "ਇਸ ਘਰ ਵਿੱਚ ਇੱਕ ਕੁੱਤਾ ਹੈ",
    "ta": "இந்த வீட்டில் ஒரு நாய் உள்ளது", "te": "ఈ ఇంట్లో ఒక కుక్క ఉంది",
    "kn": "ಈ ಮನೆಯಲ್ಲಿ ಒಂದು ನಾಯಿ ಇದೆ", "ml": "ഈ വീട്ടിൽ ഒരു നായ ഉണ്ട്",
    "th": "ใน บ้าน นี้ มี สุนัข", "ko": "이 집에 개가 한 마리 있다", "ja": "この 家 には 犬 が いる",
    "he": "בבית הזה יש כלב", "el": "στο σπίτι αυτό είναι ένας σκύλος",
    "zh": "这个 房子 里 有 一只 狗",
}  # fmt: skip
"""Words by language, some of them its commonest."""


class _Plan:
    """What an item's rules ask for, by rule."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self._all = [(one["id"].partition(":")[2], one["arguments"]) for one in instructions]
        banned = [
            str(w) for _, given in self.all("forbidden_words") for w in given["forbidden_words"]
        ]
        banned += [g["keyword"] for g in self.below("frequency", "relation")]
        banned += [g["letter"] for g in self.below("letter_frequency", "let_relation")]
        low = [word.lower() for word in banned]
        language = self.one("response_language", "language") or "en"
        words = _FILLER.get(language, _FILLER["en"]).split()
        self.foreign = language != "en"
        self.words = [w for w in words if not any(b in w.lower() for b in low)] or words

    def all(self, rule: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Every use of a rule."""
        return [(id, given) for id, given in self._all if id == rule]

    def has(self, rule: str) -> bool:
        return bool(self.all(rule))

    def one(self, rule: str, argument: str) -> Any:
        """An argument of a rule; None where the rule is not there."""
        return next((given[argument] for _, given in self.all(rule)), None)

    def below(self, rule: str, relation: str) -> list[Mapping[str, Any]]:
        return [given for _, given in self.all(rule) if given[relation] == "less than"]

    def least(self, rule: str, relation: str, argument: str) -> int:
        """The largest of the lower bounds."""
        return max((g[argument] for _, g in self.all(rule) if g[relation] == "at least"), default=0)

    def fill(self, count: int) -> str:
        return " ".join(islice(cycle(self.words), count))


def gold_for(instructions: Sequence[Instruction]) -> str:
    """A reply that keeps the rules, where one can be put together."""
    plan = _Plan(instructions)
    text = _framed(plan, _body(plan))
    missing = plan.least("number_words", "relation", "num_words") - len(re.findall(r"\w+", text))
    if missing > 0:
        text = _framed(plan, f"{_body(plan)}\n{plan.fill(missing)}")
    if plan.has("json_format"):
        text = json.dumps({plan.words[0]: text}, ensure_ascii=False)
    if plan.has("quotation"):
        text = f'"{text}"'
    if plan.has("english_capital"):
        text = text.upper()
    return text.lower() if plan.has("english_lowercase") else text


def _framed(plan: _Plan, body: str) -> str:
    """The body between what must stand first and last, in as many parts as are asked for."""
    end = [plan.one("end_checker", "end_phrase") or ""]
    if marker := plan.one("postscript", "postscript_marker"):
        end.insert(0, f"{marker.lower()} {plan.fill(3)}")
    start = [plan.one("repeat_prompt", "prompt_to_repeat") or "", body]
    if plan.foreign:
        # More than what the other rules have in Latin letters.
        start.append(plan.fill(300 if start[0] else 40))
    first, last = ("\n".join(filter(None, part)) for part in (start, end))
    word = plan.one("nth_paragraph_first_word", "first_word")
    if plan.has("two_responses"):
        parts, mark = 2, "\n******\n"
    elif word:
        parts, mark = plan.one("nth_paragraph_first_word", "num_paragraphs"), "\n\n"
    else:
        parts, mark = plan.one("number_paragraphs", "num_paragraphs") or 1, "\n***\n"
    pieces = [first, *(plan.fill(3) for _ in range(parts - 1))]
    if word:
        nth = plan.one("nth_paragraph_first_word", "nth_paragraph") - 1
        pieces[nth] = f"{word} {pieces[nth]}"
    pieces[-1] = "\n".join(filter(None, [pieces[-1], last]))
    return mark.join(pieces)


def _body(plan: _Plan) -> str:
    """What the rules on contents ask for, without a sentence's end unless sentences are asked."""
    word = plan.words[-1]
    lines = [f"<<{word}>>"] if plan.has("title") else []
    lines += [CONSTRAINED[0]] if plan.has("constrained_response") else []
    shortest = min((g["num_words"] for g in plan.below("number_words", "relation")), default=7)
    lines += [plan.fill(max(1, min(6, shortest - 1)))]
    wanted = [str(k) for _, given in plan.all("existence") for k in given["keywords"]]
    for _, given in plan.all("frequency"):
        if given["relation"] == "at least":
            wanted += [given["keyword"]] * given["frequency"]
    for _, given in plan.all("letter_frequency"):
        if given["let_relation"] == "at least":
            wanted.append(given["letter"] * given["let_frequency"])
    capitals = plan.least("capital_word_frequency", "capital_relation", "capital_frequency")
    wanted += ["OK"] * capitals
    wanted += [f"[{word}]"] * (plan.one("number_placeholders", "num_placeholders") or 0)
    wanted += [f"*{word}*"] * (plan.one("number_highlighted_sections", "num_highlights") or 0)
    if wanted:
        lines.append(f"{word} {' '.join(wanted)}")
    if mark := plan.one("multiple_sections", "section_spliter"):
        lines += [f"{mark} {n + 1}" for n in range(plan.one("multiple_sections", "num_sections"))]
    lines += [f"- {word}"] * (plan.one("number_bullet_lists", "num_bullets") or 0)
    sentences = plan.least("number_sentences", "relation", "num_sentences")
    if sentences:
        lines.append(f"{plan.fill(3)}. " * (sentences - 1) + f"{plan.fill(3)}.")
    return "\n".join(lines)


def broken(instruction: Instruction, gold: str) -> str:
    """`gold` changed so that it breaks this rule."""
    return _BREAKS[instruction["id"].partition(":")[2]](gold, instruction["arguments"])


def _without(text: str, *words: str) -> str:
    return re.sub("|".join(map(re.escape, words)), "", text, flags=re.IGNORECASE)


def _counted(text: str, word: str, limit: int, relation: str) -> str:
    """Too few of a word, or too many."""
    return _without(text, word) if relation == "at least" else text + f" {word}" * limit


def _break_words(text: str, given: Mapping[str, Any]) -> str:
    at_least = given["relation"] == "at least"
    return text.split()[0] if at_least else text + " more" * given["num_words"]


def _break_sentences(text: str, given: Mapping[str, Any]) -> str:
    if given["relation"] == "at least":
        return re.sub(r"[.!?…。！？।॥]", "", text)
    return text + " We go." * given["num_sentences"]


def _break_capitals(text: str, given: Mapping[str, Any]) -> str:
    if given["capital_relation"] == "at least":
        return text.lower()
    return text + " OK" * given["capital_frequency"]


_BREAKS: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "existence": lambda text, given: _without(text, str(given["keywords"][0])),
    "frequency": lambda text, given: _counted(
        text, given["keyword"], given["frequency"], given["relation"]
    ),
    "forbidden_words": lambda text, given: f"{text} {given['forbidden_words'][0]}",
    "letter_frequency": lambda text, given: _counted(
        text, given["letter"], given["let_frequency"], given["let_relation"]
    ),
    "response_language": lambda text, given: _FILLER["ru" if given["language"] == "en" else "en"],
    "number_sentences": _break_sentences,
    "number_paragraphs": lambda text, given: f"{text}\n***\nmore",
    "number_words": _break_words,
    "nth_paragraph_first_word": lambda text, given: f"{text}\n\nmore",
    "number_placeholders": lambda text, given: _without(text, "["),
    "postscript": lambda text, given: _without(_without(text, given["postscript_marker"]), "."),
    "number_bullet_lists": lambda text, given: f"{text}\n- more",
    "constrained_response": lambda text, given: _without(text, *CONSTRAINED),
    "number_highlighted_sections": lambda text, given: _without(text, "*"),
    "multiple_sections": lambda text, given: re.sub(r"\d", "", text),
    "json_format": lambda text, given: text + "}",
    "title": lambda text, given: _without(text, "<<"),
    "two_responses": lambda text, given: _without(text, "*"),
    "repeat_prompt": lambda text, given: f"Well: {text}",
    "end_checker": lambda text, given: f"{text} more",
    "capital_word_frequency": _break_capitals,
    "english_capital": lambda text, given: f"{text} more",
    "english_lowercase": lambda text, given: f"{text} MORE",
    "no_comma": lambda text, given: f"{text},",
    "quotation": lambda text, given: f"{text} more",
}
"""How each rule is broken, by the second half of its id."""
