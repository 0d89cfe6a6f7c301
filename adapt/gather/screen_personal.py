"""Personal data: what belongs to a person and to no documentation.

Held is what does harm when a model repeats it: valid payment cards, bank accounts and national
numbers of people, and records that tell several things of one person. Only noted is what any
business page has: e-mail addresses, telephone numbers, known test numbers. Checksums are
python-stdnum's. Called by adapt.gather.screening.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from adapt.gather.screen_text import Part, at, excerpt
from store.source_records import Finding

_MANY = 5
"""Private e-mail addresses, or people with a number each, that make a page a list of people."""
_RECORD = 3
"""Things told of one person, an e-mail address or a number among them, that make a record."""
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_CARD_START = re.compile(r"4|5[1-5]|2[2-7]|3[47]|6(?:011|5|4[4-9]|2)|35|30[0-5]|3[68]")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){2,3}(?!\w)"
)
_ROLES = re.compile(
    r"^(?:info|support|help|sales|contact|admin|office|service|press|privacy|legal|billing|"
    r"no-?reply|team|hello|jobs|security|abuse|webmaster|customer\w*|care|mail|user|example|test|"
    r"your\w*|name|someone|me|john\.?doe|jane\.?doe|foo|bar)\b|@(?:.*\.)?(?:example|test|domain|"
    r"company|email)\.",
    re.I,
)
_SAMPLE = re.compile(
    r"^(?:(\d)\1+|4111111111111111|4242424242424242|5555555555554444|378282246310005|"
                     r"6011111111111117|4012888888881881|5105105105105100|"
                     r"371449635398431|3530111333300000|4000056655665556)$")  # fmt: skip
_NUMBERS: tuple[tuple[str, str, str, str], ...] = (
    ("us.ssn", r"\b\d{3}-\d{2}-\d{4}\b", r"ssn|social security", "a US social security number"),
    ("us.itin", r"\b9\d{2}-\d{2}-\d{4}\b", r"itin|taxpayer", "a US taxpayer number"),
    ("gb.nhs", r"\b\d{3}[ -]?\d{3}[ -]?\d{4}\b", r"nhs", "an NHS number"),
    ("de.idnr", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", r"steuer|tax|idnr|identifikation",
        "a German tax number"),
    ("fr.nir",
        r"\b[1-37-8] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}\b", r"",
            "a French social security number"),
    ("it.codicefiscale",
        r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", r"", "an Italian tax code"),
    ("es.dni", r"\b\d{8}[ -]?[A-Z]\b", r"dni|nif|identidad", "a Spanish identity number"),
    ("es.nie", r"\b[XYZ][ -]?\d{7}[ -]?[A-Z]\b", r"", "a Spanish foreigner's number"),
    ("nl.bsn", r"\b\d{9}\b", r"bsn|burgerservice", "a Dutch citizen's number"),
    ("br.cpf", r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", r"", "a Brazilian CPF"),
    ("pl.pesel", r"\b\d{11}\b", r"pesel", "a Polish PESEL"),
    ("se.personnummer", r"\b(?:19|20)?\d{6}[-+]\d{4}\b", r"", "a Swedish personal number"),
    ("fi.hetu", r"\b\d{6}[-+A]\d{3}[0-9A-Y]\b", r"", "a Finnish personal number"),
    ("ch.ssn", r"\b756\.?\d{4}\.?\d{4}\.?\d{2}\b", r"", "a Swiss AHV number"),
    ("in_.aadhaar", r"\b[2-9]\d{3} \d{4} \d{4}\b", r"aadhaar", "an Aadhaar number"),
    ("in_.pan", r"\b[A-Z]{3}P[A-Z]\d{4}[A-Z]\b", r"\bpan\b", "an Indian PAN"),
    ("cn.ric", r"\b\d{17}[\dX]\b", r"", "a Chinese identity number"),
    ("kr.rrn", r"\b\d{6}-[1-4]\d{6}\b", r"", "a Korean resident number"),
    ("mx.curp", r"\b[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d\b", r"", "a Mexican CURP"),
)  # fmt: skip
"""Module of python-stdnum, form, words that must stand near it (digits alone are often valid by
chance), and what it is."""
_NEAR = 60
_TRAITS = (
    r"\b(?i:name|patient|employee|customer|client|tenant|applicant|resident|insured|student|"
    r"member|subject|guest|"
    r"cardholder|account holder|borrower|mr|mrs|ms|dr)\b[^\n]{0,20}?[:.,|=]?\s*[A-Z][a-z'-]+,? "
    r"[A-Z][a-z'-]+",
    r"\b(?:dob|d\.o\.b|date of birth|born(?: on)?|birth ?date|birthday)\b[^\n]{0,12}?\d{1,4}[-/. "
    r"]?(?:\d{1,2}|[A-Z][a-z]{2,8})[-/., ]",
    r"\b\d{1,5} (?:[A-Z][\w'.-]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|"
    r"Boulevard|Blvd|Court|Ct|Way|Place|Terrace|Close)\b",
    r"\b(?:diagnos\w+|prescribed|blood type|hiv|salary|passport|driver'?s licen[cs]e|medical "
    r"record|mrn|policy|account|routing|iban|card|ssn|license)"
    r"(?: (?:number|no\.?|id|#))?\s*[:=#|]\s*[A-Z]?[\w*-]*\d[\w -]{3,}|\b(?:diagnosis|diagnosed "
    r"with|salary|home address|lives at|residing at)\b\s*:?\s*\S",
)  # fmt: skip


def find(parts: Sequence[Part]) -> Iterator[Finding]:
    """What the parts of one document say of people."""
    for part in parts:
        held = [*_numbers(part.text)]
        if held:
            what, seen = held[0]
            more = f" and {len(held) - 1} more" if len(held) > 1 else ""
            yield _finding(part, f"has {what}{more}", seen)
        elif record := _record(part.text):
            yield _finding(part, "tells several things of one person", record)
        emails = {m for m in _EMAIL.findall(part.text) if not _ROLES.search(m)}
        if len(emails) >= _MANY:
            yield _finding(part, f"lists {len(emails)} people's e-mail addresses", min(emails))
        elif emails:
            yield _noted(part, "has an e-mail address", min(emails))
        if match := _PHONE.search(part.text):
            yield _noted(part, "has what may be a telephone number", match[0])


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """Valid numbers of people: what it is, and the number."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        sample = _SAMPLE.match(digits) or len(set(digits)) < 4 or digits in "01234567890123456789"
        if _CARD_START.match(digits) and not sample and _valid("luhn", digits):
            yield "a payment card's number", match[0]
    for match in _IBAN.finditer(text):
        if _valid("iban", match[0]):
            yield "a bank account (IBAN)", match[0]
    for module, form, near, what in _NUMBERS:
        for match in re.finditer(form, text):
            around = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
            if re.search(near, around, re.I) and _valid(module, match[0]):
                yield what, match[0]


def _valid(module: str, number: str) -> bool:
    check: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return check(number)


def _record(text: str) -> str:
    """A passage that tells of a person by several traits; empty where there is none."""
    for start in range(0, max(1, len(text) - 200), 200):
        piece = text[start : start + 400]
        traits = [
            m
            for m in (
                re.search(t, piece, re.I if i in (1, 3) else 0) for i, t in enumerate(_TRAITS)
            )
            if m
        ]
        reach = [m for m in (_EMAIL.search(piece), _PHONE.search(piece)) if m]
        named = re.search(_TRAITS[0], piece)
        if named and traits and len(traits) + len(reach) >= _RECORD:
            return piece[named.start() : named.start() + 160]
    return ""


def _finding(part: Part, words: str, seen: str) -> Finding:
    return Finding(
        kind="personal",
        words=f"{at(part.place)}{words}; a model that learned it could tell it to anyone",
        excerpt=_covered(seen),
    )


def _noted(part: Part, words: str, seen: str) -> Finding:
    words = f"{at(part.place)}{words}; usual in documentation"
    return Finding(kind="personal", words=words, excerpt=_covered(seen), hold=False)


def _covered(seen: str) -> str:
    """The excerpt with most digits covered: whoever reviews needs to see where, not what."""
    return re.sub(r"(?<=\d)\d(?=.*\d{2})", "*", excerpt(seen))
