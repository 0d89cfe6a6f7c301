"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything that release 0.1 keeps."""
    _knowledge()
    _versions()
    _work()


def _knowledge() -> None:
    op.create_table(
        "documents",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("indexed", sa.Boolean, nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_documents_source", "documents", ["source"])
    op.create_index("ix_documents_state", "documents", ["state"])
    op.create_table(
        "snapshots",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "examples",
        sa.Column("cycle", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )


def _versions() -> None:
    op.create_table(
        "updates",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "skill_vectors",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("update_digest", sa.String(64), sa.ForeignKey("updates.digest")),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_versions_digest", "versions", ["digest"])
    op.create_index("ix_versions_state", "versions", ["state"])
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), sa.ForeignKey("versions.name"), nullable=False),
    )
    op.create_table(
        "flips",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), sa.ForeignKey("versions.name"), nullable=False),
        sa.Column("previous", sa.String(64), sa.ForeignKey("versions.name")),
        sa.Column("record", sa.Text, nullable=False),
    )


def _work() -> None:
    op.create_table(
        "eval_reports",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("suite", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_eval_reports_version", "eval_reports", ["version"])
    op.create_table(
        "gate_reports",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_gate_reports_candidate", "gate_reports", ["candidate"])
    op.create_table(
        "cycles",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_cycles_state", "cycles", ["state"])
    op.create_table(
        "stages",
        sa.Column("cycle", sa.Integer, sa.ForeignKey("cycles.number"), primary_key=True),
        sa.Column("stage", sa.String(16), primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "episodes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("thread", sa.String(255), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_episodes_thread", "episodes", ["thread"])
    op.create_index("ix_episodes_version", "episodes", ["version"])
    op.create_index("ix_episodes_created_at", "episodes", ["created_at"])
