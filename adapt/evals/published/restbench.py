"""Loader of RestBench: which API paths, in which order, fulfil a request.

Reads the questions `spotify.json` and `tmdb.json`, whichever are there, with the OpenAPI document
of each (`..._oas.json`), from which the prompt lists the endpoints. Scored by
adapt.evals.scoring.path_rules; called by adapt.evals.benchmarks.
"""

from collections.abc import Iterator
from pathlib import Path

from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.published.reading import document, field, files, records
from store.errors import ConfigError, NotFoundError
from store.records import Message

SERVICES = ("spotify", "tmdb")
"""Each is a slice."""
SYSTEM = """\
Which of these endpoints must be called for the request, and in which order? Reply with those \
alone, one a line. An endpoint that a step calls for several things is named once. For example:
GET /first/{id}
POST /second

Endpoints:
"""
_METHODS = ("get", "post", "put", "delete", "patch")


def load(folder: Path) -> Iterator[Case]:
    """Items by service, named by service and place. NotFoundError where there is none."""
    found = [path for one in SERVICES for path in folder.rglob(f"{one}.json")]
    if not found:
        raise NotFoundError(
            f"there are no questions of {' or '.join(SERVICES)} in {folder}",
            "get them from the benchmark's repository",
        )
    for path in found:
        service = path.stem
        about = _endpoints(files(folder, f"{service}_oas.json")[0])
        system = SYSTEM + "\n".join(f"{one}: {text}" for one, text in about.items())
        for number, (where, record) in enumerate(records(path), 1):
            paths = field(record, "solution", where, list)
            item = Item(
                suite="restbench", slice=service, name=f"{service}-{number}",
                messages=(
                    Message(role="system", content=system),
                    Message(role="user", content=field(record, "query", where, str)),
                ),
                check={"kind": "paths", "paths": paths, "endpoints": list(about)},
            )  # fmt: skip
            yield Case(item, Gold(content="\n".join(paths)))


def _endpoints(path: Path) -> dict[str, str]:
    """What each endpoint does in a line, by "METHOD /path"."""
    specification, where = document(path), str(path)
    if not isinstance(specification, dict):
        raise ConfigError(f"{where} is no OpenAPI document", "get the file anew")
    about: dict[str, str] = {}
    paths = field(specification, "paths", where, dict)
    for name in paths:
        operations = field(paths, name, where, dict)
        for method in _METHODS:
            if method in operations:
                operation = field(operations, method, where, dict)
                text = str(operation.get("summary") or operation.get("description") or "")
                about[f"{method.upper()} {name}"] = " ".join(text.split())[:120]
    return about


BENCHMARK = Benchmark(
    name="restbench",
    about="the API paths of a plan; scored as the exact list, the published path rate beside it",
    load=load,
    exceptions={
        "spotify-40": "its solution has GET /track/{id}, which the API has as GET /tracks/{id}"
    },
)
