"""Examples: what each cycle trained on and held out. Written once per cycle, never changed.

Making them is adapt/synthesize's business. Called by the cycle's stages.
"""

from collections.abc import Iterable

from sqlalchemy import func, insert, select

from store.database import Database
from store.errors import NotFoundError
from store.records import Example, Split
from store.tables import examples as table
from store.tables import pack, unpack


class Examples:
    """The table of examples, by cycle and in the order in which they were added."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, cycle: int, examples: Iterable[Example]) -> int:
        """Append to a cycle, all or none; one that the cycle already has is left out.

        Returns how many were new, so that a stage that runs again after a kill adds nothing.
        """
        with self._database.begin() as db:
            known = set(db.scalars(select(table.c.digest).where(table.c.cycle == cycle)))
            position = len(known)
            rows = []
            for example in examples:
                if example.digest in known:
                    continue
                known.add(example.digest)
                rows.append(
                    {
                        "cycle": cycle,
                        "digest": example.digest,
                        "position": position + len(rows),
                        "split": example.split,
                        "record": pack(example),
                    }
                )
            if rows:
                db.execute(insert(table), rows)
        return len(rows)

    def of_cycle(self, cycle: int, split: Split | None = None) -> list[Example]:
        """A cycle's examples in order, of one split or of all."""
        query = select(table.c.record).where(table.c.cycle == cycle).order_by(table.c.position)
        if split is not None:
            query = query.where(table.c.split == split)
        with self._database.read() as db:
            return [unpack(Example, row) for row in db.scalars(query)]

    def held_out_before(self, cycle: int) -> list[Example]:
        """Held-out examples of all earlier cycles, oldest first, each digest once."""
        # An example that some earlier cycle trained on says nothing about what was kept.
        trained = select(table.c.digest).where(table.c.split == "train", table.c.cycle < cycle)
        query = (
            select(table.c.digest, table.c.record)
            .where(table.c.split == "held_out", table.c.cycle < cycle)
            .where(table.c.digest.not_in(trained))
            .order_by(table.c.cycle, table.c.position)
        )
        found: dict[str, str] = {}
        with self._database.read() as db:
            for digest, record in db.execute(query):
                found.setdefault(digest, record)
        return [unpack(Example, record) for record in found.values()]

    def get(self, digest: str) -> Example:
        """An example, from the newest cycle that has it. Raises NotFoundError."""
        query = select(table.c.record).where(table.c.digest == digest)
        with self._database.read() as db:
            row = db.scalar(query.order_by(table.c.cycle.desc()).limit(1))
            newest = db.scalar(select(func.max(table.c.cycle)))
        if row is None:
            raise NotFoundError(
                f"no example {digest!r}",
                "there are none yet" if newest is None else f"examples go up to cycle {newest}",
            )
        return unpack(Example, row)
