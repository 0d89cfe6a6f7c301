"""Threads, their runs, and items of clients."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables; the threads that there are have a row each from now on."""
    threads = op.create_table(
        "threads",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("owner", sa.String(16), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_index("ix_threads_owner", "threads", ["owner", "updated_at"])
    op.create_index("ix_threads_updated_at", "threads", ["updated_at"])
    op.create_table(
        "thread_marks",
        sa.Column("thread", sa.String(255), sa.ForeignKey("threads.name"), primary_key=True),
        sa.Column("mark", sa.String(32), primary_key=True),
    )
    op.create_index("ix_thread_marks_mark", "thread_marks", ["mark", "thread"])
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("thread", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_runs_thread", "runs", ["thread", "created_at"])
    op.create_table(
        "items",
        sa.Column("owner", sa.String(16), primary_key=True),
        sa.Column("namespace", sa.String(512), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    _list(threads)


def _list(threads: sa.Table) -> None:
    """A row for every thread that has an episode; one that is its own thread was not kept."""
    db = op.get_bind()
    episodes = sa.table("episodes", sa.column("id"), sa.column("thread"), sa.column("created_at"))
    keys = set(db.scalars(sa.select(sa.table("api_keys", sa.column("id")).c.id)))
    first, last = sa.func.min(episodes.c.created_at), sa.func.max(episodes.c.created_at)
    found = db.execute(
        sa.select(episodes.c.thread, sa.type_coerce(first, _MOMENT), sa.type_coerce(last, _MOMENT))
        .where(episodes.c.thread != episodes.c.id)
        .group_by(episodes.c.thread)
    ).all()
    for name, created_at, updated_at in found:
        owner, _, rest = name.partition(":")
        db.execute(
            threads.insert().values(
                name=name, owner=owner if rest and owner in keys else None, status="idle",
                created_at=created_at, updated_at=updated_at, tags="{}",
            )
        )  # fmt: skip
