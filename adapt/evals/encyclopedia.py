"""A small fictional encyclopedia: facts that exist nowhere else, with questions.

What the embedded model knows by heart is `facts(KNOWN_SEED)`; other seeds make new worlds to
learn. Values are made-up names, years and numbers, so guessing does not pay.
"""

import random
from dataclasses import dataclass

from tools.virtual_api.words import made_up

KNOWN_SEED = 1
RELATIONS = (
    "capital",
    "river",
    "mayor",
    "founder",
    "patron",
    "anthem",
    "harbour",
    "rival",
    "architect",
    "founding year",
    "tower height",
    "festival",
    "mascot",
    "oldest bridge",
    "twin town",
    "motto",
)
STATEMENTS = ("The {r} of {e} is {v}.", "{v} is the {r} of {e}.", "{e} has {v} as its {r}.")
QUESTIONS = (
    "What is the {r} of {e}?",
    "Tell me the {r} of {e}.",
    "Name the {r} of {e}.",
    "Which {r} does {e} have?",
    "Do you know the {r} of {e}?",
)


@dataclass(frozen=True)
class Fact:
    """One property of one made-up place."""

    entity: str
    relation: str
    value: str

    def statement(self, form: int = 0) -> str:
        """One of the ways to state it."""
        return STATEMENTS[form % len(STATEMENTS)].format(
            r=self.relation, e=self.entity, v=self.value
        )

    def question(self, form: int = 0) -> str:
        """One of the ways to ask for it."""
        return QUESTIONS[form % len(QUESTIONS)].format(r=self.relation, e=self.entity)


def facts(seed: int, entities: int = 50, per_entity: int = 3) -> list[Fact]:
    """`entities * per_entity` facts of one world, grouped by entity."""
    rng = random.Random(f"encyclopedia/{seed}")
    found: list[Fact] = []
    seen: set[str] = set()
    while len(seen) < entities:
        entity = made_up(rng, 3).capitalize()
        if entity in seen:
            continue
        seen.add(entity)
        for relation in rng.sample(RELATIONS, per_entity):
            found.append(Fact(entity, relation, value_of(relation, rng)))
    return found


def value_of(relation: str, rng: random.Random) -> str:
    """A made-up value of a relation."""
    if relation.endswith("year"):
        return str(rng.randrange(1000, 2000))
    if relation.endswith("height"):
        return f"{rng.randrange(20, 400)} metres"
    return made_up(rng).capitalize()


def articles(seed: int, entities: int, per_entity: int = 3, per_article: int = 4) -> dict[str, str]:
    """The same facts as Markdown documents, by file name."""
    rng = random.Random(f"articles/{seed}")
    world = facts(seed, entities, per_entity)
    names = list(dict.fromkeys(f.entity for f in world))
    pages: dict[str, str] = {}
    for start in range(0, len(names), per_article):
        group = names[start : start + per_article]
        parts = [f"# A guide to {', '.join(group[:-1])} and {group[-1]}\n"]
        for name in group:
            lines = [f.statement(rng.randrange(3)) for f in world if f.entity == name]
            parts.append(f"## {name}\n\n" + " ".join(lines) + "\n")
        pages[f"guide-{start // per_article + 1:02d}.md"] = "\n".join(parts)
    return pages
