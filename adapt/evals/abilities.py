"""Small general abilities with one right answer: copying, sorting, arithmetic, choosing.

They stand for what an update must not damage. Used by the `general` suite and by the recipe of
the embedded model.
"""

import random
from typing import NamedTuple

from tools.virtual_api.words import ADJECTIVES, NOUNS, code, made_up


class Puzzle(NamedTuple):
    """A question, its one answer, and the ability it needs."""

    ability: str
    question: str
    answer: str


def copying(rng: random.Random) -> Puzzle:
    """Repeat words, made-up words, codes and numbers."""
    makers = (
        lambda: rng.choice(NOUNS),
        lambda: made_up(rng, 3),
        lambda: made_up(rng).capitalize(),
        lambda: code(rng),
        lambda: str(rng.randrange(10_000)),
    )
    words = [rng.choice(makers)() for _ in range(rng.randint(2, 6))]
    text = " ".join(words)
    return Puzzle("copying", f"Repeat: {text}", text)


def sorting(rng: random.Random) -> Puzzle:
    """Sort small numbers."""
    numbers = rng.sample(range(10, 100), rng.randint(2, 4))
    said = " ".join(map(str, numbers))
    return Puzzle("sorting", f"Sort: {said}", " ".join(map(str, sorted(numbers))))


def arithmetic(rng: random.Random) -> Puzzle:
    """Add or subtract numbers below one hundred, no carry beyond."""
    a, b = rng.randrange(2, 60), rng.randrange(2, 40)
    if rng.random() < 0.5:
        return Puzzle("arithmetic", f"What is {a} plus {b}?", str(a + b))
    a, b = max(a, b), min(a, b)
    return Puzzle("arithmetic", f"What is {a} minus {b}?", str(a - b))


def choosing(rng: random.Random) -> Puzzle:
    """Pick the last or first of some words."""
    words = rng.sample(ADJECTIVES, rng.randint(3, 5))
    end = rng.choice(("first", "last"))
    text = " ".join(words)
    return Puzzle("choosing", f"Which word is {end}: {text}?", words[0 if end == "first" else -1])


ABILITIES = (copying, sorting, arithmetic, choosing)


def puzzles(seed: int, count: int) -> list[Puzzle]:
    """`count` puzzles, the abilities in turn."""
    rng = random.Random(f"abilities/{seed}")
    return [ABILITIES[i % len(ABILITIES)](rng) for i in range(count)]
