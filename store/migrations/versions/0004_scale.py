"""A million documents, and which home a database belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indices for what is asked of many rows; the table of the database's owner."""
    op.drop_index("ix_documents_state", "documents")
    op.create_index("ix_documents_state_fetched_at", "documents", ["state", "fetched_at", "digest"])
    op.create_index("ix_documents_indexed_state", "documents", ["indexed", "state"])
    op.create_index("ix_examples_digest", "examples", ["digest"])
    op.create_index("ix_examples_split_cycle", "examples", ["split", "cycle", "digest"])
    op.create_table("owners", sa.Column("home", sa.String(32), primary_key=True))
