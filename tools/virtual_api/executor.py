"""Runs calls against the universe: deterministic replies, sessions with state, honest errors.

A reply is a function of the seed, the API and the canonical arguments, so a right answer proves
a right call. State (what was created and cancelled) belongs to one `Session`.
"""

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from store.records import digest_of
from tools.virtual_api.catalogue import Api, Catalogue, Parameter
from tools.virtual_api.lexicon import Kind
from tools.virtual_api.words import code, title

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
TRANSIENT = "temporarily unavailable, try again"
RATE_LIMITED = "rate limit reached, try again"


@dataclass(frozen=True)
class Call:
    """One call of a function with its arguments."""

    function: str
    arguments: dict[str, Any]


@dataclass
class Session:
    """One user's world: records created and cancelled, calls made, faults to come.

    `transient` counts the calls that fail before the service recovers; `rate_limit` is the number
    of calls allowed before each further one is refused once.
    """

    catalogue: Catalogue
    transient: int = 0
    rate_limit: int | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    calls: list[tuple[Call, bool]] = field(default_factory=list)
    """Every call with whether it succeeded."""
    _used: int = 0

    def execute(self, function: str, arguments: Any) -> dict[str, Any]:
        """Run one call. The reply is `{"error": ...}` when it fails; nothing is raised."""
        call = Call(function, dict(arguments) if isinstance(arguments, Mapping) else {})
        reply = self._reply(function, arguments)
        self.calls.append((call, "error" not in reply))
        return reply

    def _reply(self, function: str, arguments: Any) -> dict[str, Any]:
        api = self.catalogue.by_function.get(function)
        if api is None:
            return {"error": f"no API named {function}"}
        if problem := validate(api, arguments):
            return {"error": problem}
        if self.transient > 0:
            self.transient -= 1
            return {"error": TRANSIENT}
        if self.rate_limit is not None:
            self._used += 1
            if self._used > self.rate_limit:
                self._used = 0
                return {"error": RATE_LIMITED}
        return _ACTIONS[api.kind](self, api, dict(arguments))

    def state_digest(self) -> str:
        """Digest of what exists: every record, and which of them are cancelled."""
        return digest_of([sorted(self.records.items()), sorted(self.cancelled)])

    def _find(self, api: Api, args: dict[str, Any]) -> dict[str, Any]:
        rng = self._rng(api, args)
        return {"code": code(rng), **_values(api, rng)}

    def _detail(self, api: Api, args: dict[str, Any]) -> dict[str, Any]:
        return _values(api, self._rng(api, args))

    def _create(self, api: Api, args: dict[str, Any]) -> dict[str, Any]:
        reference = code(self._rng(api, args))
        self.records[reference] = {"function": api.function, "arguments": args}
        self.cancelled.discard(reference)
        return {"reference": reference}

    def _cancel(self, api: Api, args: dict[str, Any]) -> dict[str, Any]:
        reference = next(str(args[p.name]) for p in api.parameters if p.role == "reference")
        if reference not in self.records:
            return {"error": f"no reference {reference}"}
        self.cancelled.add(reference)
        return {"cancelled": reference}

    def _list(self, api: Api, args: dict[str, Any]) -> dict[str, Any]:
        created = sum(
            r["function"].endswith(f"_for_{api.tool.lower()}") and k not in self.cancelled
            for k, r in self.records.items()
        )
        return {"count": self._rng(api, args).randrange(3, 90) + created}

    def _rng(self, api: Api, args: dict[str, Any]) -> random.Random:
        key = [
            self.catalogue.seed,
            api.function,
            sorted((k, _canonical(v)) for k, v in args.items()),
        ]
        return random.Random(hashlib.sha256(repr(key).encode()).digest())


_ACTIONS: dict[str, Callable[[Session, Api, dict[str, Any]], dict[str, Any]]] = {
    "find": Session._find,
    "detail": Session._detail,
    "create": Session._create,
    "cancel": Session._cancel,
    "list": Session._list,
    "call": Session._detail,
}


def validate(api: Api, arguments: Any) -> str | None:
    """What is wrong with the arguments, naming the parameter; None when they are right."""
    if not isinstance(arguments, Mapping):
        return "arguments must be a JSON object"
    known = {p.name: p for p in api.parameters}
    for name in arguments:
        if name not in known:
            return f"unknown parameter {name}"
    for p in api.parameters:
        if p.name not in arguments:
            if p.required:
                return f"missing parameter {p.name}"
            continue
        if not _fits(p, arguments[p.name]):
            wanted = "|".join(p.choices) if p.choices else p.kind
            return f"parameter {p.name} must be {wanted}"
    return None


def _fits(parameter: Parameter, value: Any) -> bool:
    if parameter.kind == "boolean":
        return isinstance(value, bool)
    if parameter.kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if parameter.kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) or not value:
        return False
    if parameter.kind == "date":
        return _DATE.fullmatch(value) is not None
    return not parameter.choices or value in parameter.choices


def _canonical(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def _values(api: Api, rng: random.Random) -> dict[str, Any]:
    return {name: random_value(rng, kind) for name, kind in api.returns}


def random_value(rng: random.Random, kind: Kind, choices: tuple[str, ...] = ()) -> Any:
    """A plausible value of one type."""
    if kind == "enum":
        return rng.choice(choices)
    if kind == "integer":
        return rng.randrange(2, 10 ** rng.choice((1, 2, 2, 3)) + 2)
    if kind == "number":
        return rng.randrange(11, 999) / 10
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "date":
        return f"20{rng.randrange(27, 40)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    return title(rng)
