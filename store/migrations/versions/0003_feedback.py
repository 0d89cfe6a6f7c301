"""What users say of answers, and how versions do once users meet them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of feedback and trials; episodes are found by version and moment."""
    op.create_table(
        "feedback",
        sa.Column("episode", sa.String(64), sa.ForeignKey("episodes.id"), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_feedback_version", "feedback", ["version"])
    op.create_table(
        "trials",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), sa.ForeignKey("versions.name"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_trials_version", "trials", ["version"])
    op.create_index("ix_trials_state", "trials", ["state"])
    op.create_index("ix_episodes_version_created_at", "episodes", ["version", "created_at"])
