"""API keys: who may call the assistant, and for what.

A key is shown once, when it is made; kept is the SHA-256 of its secret part, which is random and
long enough that no slower digest would make guessing harder. It checks no request and limits
nothing: agent.api.auth does. Called by it and by the command line.
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator
from sqlalchemy import Connection, insert, select, update

from store.database import Database
from store.errors import NotFoundError, UserError
from store.records import Record, utc_now
from store.tables import api_keys, pack, unpack

Scope = Literal["chat", "read", "admin"]
"""`chat` asks and has threads of its own; `read` sees versions, cycles and reports; `admin` changes
what is live, what is learned and who has keys, and may all that the others may."""
SCOPES: tuple[Scope, ...] = ("chat", "read", "admin")
_PREFIX = "perennial"
_ID_BYTES, _SECRET_BYTES = 6, 32


class ApiKey(Record):
    """What is known of a key. Not the key: nobody can have it back."""

    id: str
    name: str
    """For people: whose it is."""
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate_per_minute: int | None = Field(default=None, ge=1)
    """Most requests in a minute; None is the server's setting."""
    concurrent: int | None = Field(default=None, ge=1)
    """Most requests at once; None is the server's setting."""

    @field_validator("scopes")
    @classmethod
    def _in_order(cls, value: tuple[Scope, ...]) -> tuple[Scope, ...]:
        if not value:
            raise ValueError("a key needs a scope")
        return tuple(scope for scope in SCOPES if scope in value)

    def valid(self, at: datetime) -> bool:
        """Whether it may do anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


class Keys:
    """The table of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        scopes: tuple[Scope, ...],
        expires_at: datetime | None = None,
        rate_per_minute: int | None = None,
        concurrent: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key, and the text that a client sends, which nothing tells again.

        UserError when a valid key has that name, or it has none.
        """
        if not name.strip() or not name.isprintable():
            raise UserError(f"{name!r} is no name for a key", "say whose it is")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = ApiKey(
            id=secrets.token_hex(_ID_BYTES), name=name, scopes=scopes, created_at=utc_now(),
            expires_at=expires_at, rate_per_minute=rate_per_minute, concurrent=concurrent,
        )  # fmt: skip
        with self._database.begin() as db:
            if any(k.name == name and k.valid(key.created_at) for k in _all(db)):
                raise UserError(
                    f"there is a key named {name!r}",
                    "choose another name, or revoke that one: perennial key revoke",
                )
            db.execute(insert(api_keys).values(id=key.id, digest=_digest(secret), record=pack(key)))
        return key, f"{_PREFIX}_{key.id}_{secret}"

    def find(self, text: str) -> ApiKey | None:
        """The key that a client has sent; None when it is none, expired or revoked."""
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        if prefix != _PREFIX or not secret:
            return None
        query = select(api_keys.c.digest, api_keys.c.record).where(api_keys.c.id == id)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
            return None
        key = unpack(ApiKey, row.record)
        return key if key.valid(utc_now()) else None

    def valid(self, id: str) -> ApiKey | None:
        """The key of that id; None when there is none, or it is expired or revoked."""
        query = select(api_keys.c.record).where(api_keys.c.id == id)
        with self._database.read() as db:
            record = db.scalar(query)
        key = unpack(ApiKey, record) if record is not None else None
        return key if key and key.valid(utc_now()) else None

    def any(self) -> bool:
        """Whether a key was ever made: from then on, callers need one."""
        with self._database.read() as db:
            return db.scalar(select(api_keys.c.id).limit(1)) is not None

    def list(self) -> list[ApiKey]:
        """All keys, the oldest first."""
        with self._database.read() as db:
            return sorted(_all(db), key=lambda key: (key.created_at, key.id))

    def revoke(self, which: str) -> ApiKey:
        """End a valid key, by its id or its name, for good. NotFoundError tells which there are."""
        now = utc_now()
        with self._database.begin() as db:
            there = [key for key in _all(db) if key.valid(now)]
            key = next((k for k in there if which in (k.id, k.name)), None)
            if key is None:
                names = ", ".join(k.name for k in there)
                raise NotFoundError(
                    f"there is no valid key {which!r}", f"there are: {names}" if names else ""
                )
            key = key.model_copy(update={"revoked_at": now})
            row = update(api_keys).where(api_keys.c.id == key.id)
            db.execute(row.values(record=pack(key)))
        return key


def _all(db: Connection) -> list[ApiKey]:
    return [unpack(ApiKey, record) for record in db.scalars(select(api_keys.c.record))]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
