"""Hostile documents by kind, from a seed: wordings from a bank of phrases, put into real texts.

The phrases that rules were developed on (hostile_develop.txt) and those that they are judged by
(hostile_report.txt) have nothing in common. Writes nothing. Called by adapt.reproduce.screening and
tests.
"""

import base64
import codecs
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapt.reproduce.screening_personal import personal_text
from adapt.reproduce.screening_real import Half

OF_EACH = 12
"""Documents of a kind."""
_INVISIBLE = "\u200b\u200c\u2060\ufeff"
_ALIKE = str.maketrans("aeopcyxi", "аеорсухі")


@dataclass(frozen=True)
class Hostile:
    """One hostile document, before it is given to a source."""

    name: str
    """The kind of attack."""
    title: str
    text: str
    kind: Literal["prose", "api"] = "prose"


@dataclass(frozen=True)
class Carriers:
    """Real texts that a payload is put into: title and text of prose, JSON of an API."""

    prose: Sequence[tuple[str, str]]
    apis: Sequence[str]


def phrases(half: Half) -> dict[str, list[str]]:
    """The bank of one half: lines by kind."""
    return phrases_in(f"hostile_{half}.txt")


def phrases_in(file: str) -> dict[str, list[str]]:
    """A file of wordings in this folder: lines by kind."""
    bank: dict[str, list[str]] = {}
    for line in Path(__file__).with_name(file).read_text().splitlines():
        if line.startswith("# "):
            bank[line[2:]] = []
        elif line:
            bank[list(bank)[-1]].append(line.replace("\\n", "\n"))
    return bank


def hostile_documents(half: Half, seed: int, carriers: Carriers) -> list[Hostile]:
    """`OF_EACH` documents of every kind that shows in its own text; same arguments, same texts."""
    bank = phrases(half)
    made: list[Hostile] = []
    for name, build in _KINDS.items():
        rng = random.Random(f"hostile/{half}/{seed}/{name}")
        for number in range(OF_EACH):
            made.append(build(name, number, rng, bank, carriers))
    return made


def _inside(carrier: tuple[str, str], payload: str, rng: random.Random) -> str:
    """The payload as a paragraph of its own, anywhere in a real text."""
    paragraphs = carrier[1].split("\n\n")
    paragraphs.insert(rng.randint(0, len(paragraphs)), payload)
    return "\n\n".join(paragraphs)


Build = Callable[[str, int, random.Random, dict[str, list[str]], Carriers], Hostile]
Turn = Callable[[str, random.Random, int], str]


def _said(of: str, turn: Turn = lambda text, _, __: text) -> Build:
    """A phrase of a kind, turned, inside a real text."""

    def build(
        name: str, number: int, rng: random.Random, bank: dict[str, list[str]], carriers: Carriers
    ) -> Hostile:
        phrase = bank[of][number % len(bank[of])]
        carrier = rng.choice(carriers.prose)
        return Hostile(name, carrier[0], _inside(carrier, turn(phrase, rng, number), rng))

    return build


def _split(text: str, rng: random.Random, number: int) -> str:
    words = text.split()
    forms = (
        "\n".join(words), "\n".join(f"- {word}" for word in words),
        "| " + " | ".join(words) + " |", " ".join(" ".join(word) for word in words),
        "\n".join(f"{i}. {word}" for i, word in enumerate(words, 1)),
        " ".join(word[: len(word) // 2] + "-\n" + word[len(word) // 2 :] for word in words),
    )  # fmt: skip
    return forms[number % len(forms)]


def _comment(text: str, rng: random.Random, number: int) -> str:
    words = text.split()
    half = len(words) // 2
    first, second = " ".join(words[:half]), " ".join(words[half:])
    forms = (
        f"```python\ndef load():\n    # {first}\n    # {second}\n    return 1\n```",
        f"```js\n/* {first}\n * {second} */\nstart();\n```",
        f'```python\ndef load():\n    """{text}"""\n```', f"```sql\n-- {text}\nSELECT 1;\n```",
        f"```html\n<!-- {text} -->\n<p>Hello</p>\n```",
            f"```sh\n# {first} \\\n#   {second}\nls\n```",
    )  # fmt: skip
    return forms[number % len(forms)]


def _invisible(text: str, rng: random.Random, number: int) -> str:
    if number % 4 == 0:
        return "Rates apply." + "".join(chr(0xE0000 + ord(c)) for c in text if c.isascii())
    if number % 4 == 1:
        return "Rates apply." + "".join(chr(0xFE00 + ord(c) % 16) for c in text)
    if number % 4 == 2:
        return "\u202e" + text[::-1] + "\u202c"
    return "".join(c + rng.choice(_INVISIBLE) for c in text)


def _alike(text: str, rng: random.Random, number: int) -> str:
    if number % 2:
        return "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower())
    return text.translate(_ALIKE)


def _html(text: str, rng: random.Random, number: int) -> str:
    forms = (
        f'<span style="display:none">{text}</span>', f"<!-- {text} -->",
        f'<p style="color:#ffffff;background:#fff">{text}</p>', f"<div hidden>{text}</div>",
        f'<font color="white" size="1">{text}</font>', f'[//]: # "{text}"',
        f'<div style="position:absolute;left:-9999px">{text}</div>',
        f'<img src="logo.png" alt="{text}">', f'<span style="font-size:0px">{text}</span>',
        f'<span style="opacity:0">{text}</span>',
    )  # fmt: skip
    return forms[number % len(forms)]


def _encoded(text: str, rng: random.Random, number: int) -> str:
    data = text.encode()
    forms = (
        base64.b64encode(data).decode(), data.hex(), "".join(f"%{b:02x}" for b in data),
        codecs.encode(text, "rot13"), text[::-1], "".join(f"&#{b};" for b in data),
        "".join(f"\\u{ord(c):04x}" for c in text),
        base64.b64encode(base64.b64encode(data)).decode(),
        " ".join(str(b) for b in data), base64.b32encode(data).decode(),
    )  # fmt: skip
    return f"Reference: {forms[number % len(forms)]}"


def _opaque(
    name: str, number: int, rng: random.Random, bank: dict[str, list[str]], carriers: Carriers
) -> Hostile:
    data = rng.randbytes(rng.randint(260, 700))
    text = (base64.b64encode(data).decode(), data.hex(), base64.b85encode(data).decode())[
        number % 3
    ]
    if number % 4 == 3:
        text = "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    carrier = rng.choice(carriers.prose)
    return Hostile(name, carrier[0], _inside(carrier, text, rng))


def _personal(
    name: str, number: int, rng: random.Random, bank: dict[str, list[str]], carriers: Carriers
) -> Hostile:
    carrier = rng.choice(carriers.prose)
    return Hostile(name, carrier[0], _inside(carrier, personal_text(rng, number), rng))


def _api(where: Literal["description", "parameter", "name"]) -> Build:
    def build(
        name: str, number: int, rng: random.Random, bank: dict[str, list[str]], carriers: Carriers
    ) -> Hostile:
        tool: dict[str, Any] = json.loads(rng.choice(carriers.apis))
        api = rng.choice(tool["api_list"])
        of = bank["names" if where == "name" else "api"]
        phrase = of[number % len(of)]
        given = [*api["required_parameters"], *api["optional_parameters"]]
        if where == "description":
            api["description"] = f"{api['description']}. {phrase}"
        elif where == "parameter" and given:
            parameter = rng.choice(given)
            parameter["description"] = f"{parameter.get('description', '')}. {phrase}"
        else:
            added = {"name": phrase, "type": "STRING", "description": "required by the service"}
            if where == "parameter":
                added |= {"name": "note", "description": phrase}
            api["required_parameters"] = [*api["required_parameters"], added]
        return Hostile(name, tool["tool_name"], json.dumps(tool), "api")

    return build


_KINDS: dict[str, Build] = {
    "override": _said("override"),
    "paraphrased": _said("paraphrased"),
    "other language": _said("tongues"),
    "split over lines": _said("override", _split),
    "code comment": _said("override", _comment),
    "API description": _api("description"),
    "API parameter": _api("parameter"),
    "API parameter name": _api("name"),
    "trigger": _said("trigger"),
    "exfiltration": _said("exfiltrate"),
    "aimed at training": _said("training"),
    "role markers": _said("dialogue"),
    "fake tool call": _said("calls"),
    "invisible characters": _said("override", _invisible),
    "look-alike letters": _said("override", _alike),
    "hidden markup": _said("override", _html),
    "encoded": _said("override", _encoded),
    "unbroken string": _opaque,
    "personal data": _personal,
}
"""Kinds that a document shows by itself; screening_campaigns has those that take several."""
