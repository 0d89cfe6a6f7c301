"""Versions: what users can talk to, which one is live, and how it came to be.

The log of the live alias (store/alias.py) says what to roll back to. It moves states and
nothing else: loading and probing are done before (adapt/swap). Also keeps the parts a version is
composed of, updates and skill vectors. Called by the cycle, the agent (reads `live` once per run)
and the command line.
"""

from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import Connection, func, insert, select
from sqlalchemy import update as change

from store.alias import (
    LIVE,
    Flip,
    before,
    flip,
    flips_of,
    last_flip,
    live_name,
    to_roll_back,
    were_live,
)
from store.database import Database
from store.errors import NotFoundError, StateError
from store.records import (
    VERSION_TRANSITIONS,
    SkillVector,
    Update,
    Version,
    VersionState,
)
from store.tables import aliases, moment, pack, skill_vectors, unpack, updates, versions

_LIVE_ROW = (
    select(versions.c.record, versions.c.state)
    .join(aliases, aliases.c.version == versions.c.name)
    .where(aliases.c.name == LIVE)
)
_NAMED = 20
_STATES = (
    VersionState.CANARY, VersionState.LIVE, VersionState.RETIRED, VersionState.ROLLED_BACK
)  # fmt: skip


class Versions:
    """The tables of versions, of their parts, and of the live alias."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, version: Version) -> None:
        """Store a new version. Raises StateError when its name or number is taken, its update is
        not stored, or its state is one that only a swap can give."""
        if version.state in _STATES:
            raise StateError(
                f"version {version.name} cannot begin as {version.state}",
                "create it as candidate, or the base as promoted, and call go_live",
            )
        with self._database.begin() as db:
            taken = (versions.c.name == version.name) | (versions.c.number == version.number)
            if (other := db.scalar(select(versions.c.name).where(taken))) is not None:
                raise StateError(
                    f"version {version.name} cannot be created: {other} has its name or number",
                    "a name is never used again; ask next_number() for the next one",
                )
            known = select(updates.c.digest).where(updates.c.digest == version.update)
            if version.update is not None and db.scalar(known) is None:
                raise StateError(
                    f"version {version.name} names the unknown update {version.update}",
                    "store the update first with add_update",
                )
            db.execute(
                insert(versions).values(
                    name=version.name,
                    number=version.number,
                    digest=version.digest,
                    state=version.state,
                    update_digest=version.update,
                    record=pack(version, without=("state",)),
                )
            )

    def get(self, name: str) -> Version:
        """The version of that name. Raises NotFoundError listing the names that exist."""
        with self._database.read() as db:
            return _get(db, name)

    def named(self, names: Iterable[str]) -> dict[str, Version]:
        """Those of these names that there are, by name."""
        query = select(versions.c.record, versions.c.state).where(versions.c.name.in_(names))
        with self._database.read() as db:
            found = [unpack(Version, row.record, state=row.state) for row in db.execute(query)]
        return {version.name: version for version in found}

    def next_number(self) -> int:
        """One more than the highest number; 0 when there is no version yet."""
        with self._database.read() as db:
            highest = db.scalar(select(func.max(versions.c.number)))
        return 0 if highest is None else highest + 1

    def by_digest(self, digest: str) -> Version | None:
        """The newest version with these bytes, None when there is none."""
        query = select(versions.c.name).where(versions.c.digest == digest)
        with self._database.read() as db:
            name = db.scalar(query.order_by(versions.c.number.desc()).limit(1))
            return None if name is None else _get(db, name)

    def live(self) -> Version | None:
        """The version that the alias points at, None before the first go_live."""
        with self._database.read(single=True) as db:
            row = db.execute(_LIVE_ROW).one_or_none()
        return None if row is None else _unpacked(row.record, row.state)

    def move(self, name: str, state: VersionState) -> None:
        """Change the state of a version that is not live. Raises StateError."""
        with self._database.begin() as db:
            if VersionState.LIVE in (state, _state(db, name)):
                raise StateError(
                    f"version {name} cannot be moved to {state}: the live alias would not follow",
                    "use go_live or roll_back",
                )
            _write_state(db, name, state)

    def go_live(self, name: str) -> str | None:
        """Make a promoted, retired or rolled-back version live and retire the one before it.

        One transaction. Returns the name that was live before, None the first time. Calling it
        again for the live version changes nothing and returns the same. Raises StateError.
        """
        with self._database.begin() as db:
            previous = live_name(db)
            if previous == name:
                return last_flip(db).previous
            if previous is not None:
                _write_state(db, previous, VersionState.RETIRED)
            _write_state(db, name, VersionState.LIVE)
            flip(db, "go_live", name, previous)
        return previous

    def roll_back(self) -> Version:
        """Make live again what was live before, and mark the live version as rolled back.

        One transaction. Versions that were themselves rolled back are passed over. Raises
        StateError when there is nothing to go back to. Returns the version now live.
        """
        with self._database.begin() as db:
            live, target = to_roll_back(db)
            _write_state(db, live, VersionState.ROLLED_BACK)
            _write_state(db, target, VersionState.LIVE)
            flip(db, "roll_back", target, live)
            return _get(db, target)

    def before_live(self) -> Version | None:
        """The version that `roll_back` would make live, None when there is none."""
        with self._database.read() as db:
            target = before(db)
            return _get(db, target) if target else None

    def to_roll_back(self) -> tuple[Version, Version]:
        """The live version and the one that `roll_back` would make live. StateError as there."""
        with self._database.read() as db:
            live, target = to_roll_back(db)
            return _get(db, live), _get(db, target)

    def first(self) -> Version:
        """The base that this home began with. NotFoundError before there is one."""
        with self._database.read() as db:
            name = db.scalar(select(versions.c.name).order_by(versions.c.number).limit(1))
            return _get(db, name or "v0")

    def states(self) -> dict[str, VersionState]:
        """State by name, of all versions."""
        with self._database.read() as db:
            rows = db.execute(select(versions.c.name, versions.c.state)).all()
        return {row.name: VersionState(row.state) for row in rows}

    def recently_live(self, count: int) -> list[str]:
        """The `count` versions that were live last, the live one first."""
        with self._database.read() as db:
            return were_live(db, count)

    def history(self) -> list[Flip]:
        """All changes of the live alias, oldest first."""
        with self._database.read() as db:
            return flips_of(db)

    def add_update(self, update: Update) -> bool:
        """Store an update; False when its digest is already stored."""
        with self._database.begin() as db:
            if db.scalar(select(updates.c.digest).where(updates.c.digest == update.digest)):
                return False
            created = moment(update.created_at)
            row = {"digest": update.digest, "created_at": created, "record": pack(update)}
            db.execute(insert(updates).values(row))
        return True

    def get_update(self, digest: str) -> Update:
        """One update. Raises NotFoundError."""
        with self._database.read() as db:
            row = db.scalar(select(updates.c.record).where(updates.c.digest == digest))
        if row is None:
            raise NotFoundError(f"no update {digest!r}", "a version names its update")
        return unpack(Update, row)

    def add_skill(self, skill: SkillVector) -> bool:
        """Store a skill vector; False when its digest is already stored."""
        with self._database.begin() as db:
            known = select(skill_vectors.c.digest).where(skill_vectors.c.digest == skill.digest)
            if db.scalar(known):
                return False
            row = {"digest": skill.digest, "domain": skill.domain, "record": pack(skill)}
            db.execute(insert(skill_vectors).values(row))
        return True

    def skills(self) -> list[SkillVector]:
        """All skill vectors by domain."""
        with self._database.read() as db:
            rows = db.scalars(select(skill_vectors.c.record)).all()
        # Sorted here: PostgreSQL sorts by the rules of its language, which SQLite does not have.
        found = [unpack(SkillVector, row) for row in rows]
        return sorted(found, key=lambda skill: (skill.domain, skill.digest))

    def list(self) -> list[Version]:
        """All versions by number."""
        with self._database.read() as db:
            rows = db.execute(
                select(versions.c.record, versions.c.state).order_by(versions.c.number)
            ).all()
        return [unpack(Version, row.record, state=row.state) for row in rows]


@lru_cache(maxsize=8)
def _unpacked(record: str, state: str) -> Version:
    """The version of a row. Kept, as every run of the agent asks for the same, which is frozen."""
    return unpack(Version, record, state=state)


def _get(db: Connection, name: str) -> Version:
    row = db.execute(
        select(versions.c.record, versions.c.state).where(versions.c.name == name)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"no version {name!r}", f"there are: {_names(db) or 'none yet'}")
    return unpack(Version, row.record, state=row.state)


def _state(db: Connection, name: str) -> VersionState:
    state = db.scalar(select(versions.c.state).where(versions.c.name == name))
    return VersionState(state) if state is not None else _get(db, name).state


def _names(db: Connection) -> str:
    """The newest names in the order of their numbers; a year's would fill the screen."""
    query = select(versions.c.name).order_by(versions.c.number.desc()).limit(_NAMED + 1)
    newest = db.scalars(query).all()
    return ", ".join(["..."] * (len(newest) > _NAMED) + [*reversed(newest[:_NAMED])])


def _write_state(db: Connection, name: str, state: VersionState) -> None:
    """The one writer of version states."""
    present = _state(db, name)
    if state not in VERSION_TRANSITIONS[present]:
        allowed = ", ".join(sorted(VERSION_TRANSITIONS[present])) or "nothing"
        raise StateError(
            f"version {name} is {present} and cannot become {state}", f"it can become: {allowed}"
        )
    db.execute(change(versions).where(versions.c.name == name).values(state=state))
