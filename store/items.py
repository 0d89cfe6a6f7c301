"""Items: JSON that clients of the LangGraph protocol keep, by namespace and key.

Each owner has items of its own; '' is whoever administers the server. Called by the HTTP API.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from store.database import Database
from store.errors import NotFoundError
from store.records import Record, utc_now
from store.tables import aware, items, moment

Namespace = tuple[str, ...]
_END = "\x1f"
"""Ends every label of a namespace in its column: `a` is no prefix of `ab`."""


class Item(Record):
    """One item."""

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Items:
    """The table of items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, owner: str, namespace: Namespace, key: str, value: Mapping[str, Any]) -> None:
        """Store an item, in place of one that is there."""
        now, text = moment(utc_now()), json.dumps(value)
        with self._database.begin() as db:
            row = update(items).where(_one(owner, namespace, key))
            if not db.execute(row.values(value=text, updated_at=now)).rowcount:
                place = {"owner": owner, "namespace": _column(namespace), "key": key}
                db.execute(
                    insert(items).values(**place, value=text, created_at=now, updated_at=now)
                )

    def get(self, owner: str, namespace: Namespace, key: str) -> Item:
        """An item. NotFoundError."""
        with self._database.read() as db:
            row = db.execute(select(items).where(_one(owner, namespace, key))).one_or_none()
        if row is None:
            raise NotFoundError(f"no item {key!r} in {'.'.join(namespace) or 'the top'}")
        return _item(row)

    def delete(self, owner: str, namespace: Namespace, key: str) -> None:
        """Forget an item; one that is not there is as good as forgotten."""
        with self._database.begin() as db:
            db.execute(delete(items).where(_one(owner, namespace, key)))

    def search(
        self, owner: str, prefix: Namespace, values: Mapping[str, Any], limit: int, offset: int
    ) -> list[Item]:
        """Items under a namespace whose value has all of `values`, the latest first."""
        query = (
            select(items)
            .where(items.c.owner == owner, _under(prefix))
            .order_by(items.c.updated_at.desc(), items.c.namespace, items.c.key)
        )
        found: list[Item] = []
        with self._database.read() as db:
            for row in db.execute(query):
                item = _item(row)
                if all(name in item.value and item.value[name] == v for name, v in values.items()):
                    found.append(item)
                    if len(found) == offset + limit:
                        break
        return found[offset:]

    def namespaces(
        self, owner: str, prefix: Namespace, suffix: Namespace, depth: int | None
    ) -> list[Namespace]:
        """The namespaces that hold something, cut to `depth` labels, in order."""
        query = select(items.c.namespace).where(items.c.owner == owner, _under(prefix)).distinct()
        with self._database.read() as db:
            names = [_labels(column) for column in db.scalars(query)]
        ending = [name for name in names if not suffix or name[-len(suffix) :] == suffix]
        return sorted({name[:depth] for name in ending})


def _column(namespace: Sequence[str]) -> str:
    return "".join(label + _END for label in namespace)


def _labels(column: str) -> Namespace:
    return tuple(column.split(_END)[:-1])


def _one(owner: str, namespace: Namespace, key: str) -> ColumnElement[bool]:
    place = items.c.namespace == _column(namespace)
    return and_(items.c.owner == owner, place, items.c.key == key)


def _under(prefix: Namespace) -> ColumnElement[bool]:
    column = _column(prefix)
    return or_(items.c.namespace == column, items.c.namespace.startswith(column, autoescape=True))


def _item(row: Any) -> Item:
    return Item(
        namespace=_labels(row.namespace),
        key=row.key,
        value=json.loads(row.value),
        created_at=aware(row.created_at),
        updated_at=aware(row.updated_at),
    )
