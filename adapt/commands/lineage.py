"""`perennial lineage`: what is behind an answer or a version, and what came of a document."""

from collections import Counter
from typing import Any

from rich.console import Group
from rich.markup import escape

from adapt.commands import Options
from adapt.lineage import answer_lineage, document_lineage, version_lineage
from adapt.show import state, table

Json = dict[str, Any]
_SHOWN = 20
"""Rows of a long table; --json has all."""


def of_answer(options: Options, episode: str) -> int:
    """From an answer to its version, updates, examples, documents and sources."""
    with options.read_store() as store:
        value = answer_lineage(store, episode)
    run = value["episode"]
    head = [
        f"[bold]{escape(run['id'])}[/]  {run['created_at']}",
        f"asked     {escape(run['question'] or '')}",
        f"answered  {escape(run['answer'] or '')}",
    ]
    options.put(value, Group(*head, *_version_parts(value)))
    return 0


def of_version(options: Options, name: str) -> int:
    """From a version to its updates, examples, documents and sources."""
    with options.read_store() as store:
        value = version_lineage(store, name)
    options.put(value, Group(*_version_parts(value)))
    return 0


def of_document(options: Options, digest: str) -> int:
    """From a document, by the beginning of its digest, to its examples, updates, versions and the
    number of answers."""
    with options.read_store() as store:
        value = document_lineage(store, store.documents.find(digest))
    document = value["document"]
    kinds = Counter(f"{e['kind']} ({e['split']})" for e in value["examples"])
    replaced = Counter(
        f"{s['reason']}: {s['document'][:12]} by {s['newer'][:12]}" for s in value["superseded"]
    )
    parts: list[Any] = [
        f"[bold]{escape(document['title'])}[/]  {state(document['state'])}",
        f"source    {escape(document['source'])}: {escape(document['address'])}",
        f"examples  {_counted(kinds)}",
        f"updates   {len(value['updates'])}",
        f"answers   {value['episodes']}",
    ]
    if replaced:
        parts.append(f"replaced  {_counted(replaced)}")
    if value["versions"]:
        parts.append(table(value["versions"], "name", "state", "parent", title="versions"))
    if value["examples"]:
        rows = value["examples"][:_SHOWN]
        parts.append(table(rows, "cycle", "kind", "split", "question", "answer", title="examples"))
        parts += _more(len(value["examples"]))
    options.put(value, Group(*parts))
    return 0


def _version_parts(value: Json) -> list[Any]:
    line = " <- ".join(version["name"] for version in value["line"])
    updates = [
        {
            "version": update["version"], "update": update["update"][:12],
            "cycle": update["cycle"], "documents": len(update["documents"]),
            "examples": _counted(update["examples"]),
        }
        for update in value["updates"]
    ]  # fmt: skip
    parts: list[Any] = [f"line      {line}", f"sources   {_counted(value['sources'])}"]
    if updates:
        parts.append(table(updates, *updates[0], title="updates"))
    if value["documents"]:
        columns = ("title", "source", "address", "trust", "state", "digest")
        parts.append(table(value["documents"][:_SHOWN], *columns, title="documents"))
        parts += _more(len(value["documents"]))
    return parts


def _counted(counts: dict[Any, int]) -> str:
    return ", ".join(f"{count} {escape(str(name))}" for name, count in counts.items()) or "none"


def _more(count: int) -> list[str]:
    return [f"{count - _SHOWN} more: --json"] if count > _SHOWN else []
