"""Where documents are found, their editions and near duplicates, and what was decided of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of places, editions, near duplicates, sketches, visits and reviews."""
    op.add_column(
        "documents", sa.Column("changed", sa.BigInteger, nullable=False, server_default="0")
    )
    op.create_index("ix_documents_changed", "documents", ["changed", "digest"])
    op.create_table(
        "places",
        sa.Column("source", sa.String(255), primary_key=True),
        sa.Column("address_digest", sa.String(64), primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("document", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_places_document", "places", ["document"])
    op.create_table(
        "editions",
        sa.Column("source", sa.String(255), primary_key=True),
        sa.Column("address_digest", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("document", sa.String(64), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_editions_document", "editions", ["document"])
    op.create_table(
        "near_duplicates",
        sa.Column("document", sa.String(64), primary_key=True),
        sa.Column("of", sa.String(64), nullable=False),
        sa.Column("similarity", sa.Float, nullable=False),
    )
    op.create_index("ix_near_duplicates_of", "near_duplicates", ["of"])
    op.create_table(
        "sketches",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("sketch", sa.Text, nullable=False),
    )
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_visits_source_started_at", "visits", ["source", "started_at"])
    op.create_table(
        "reviews",
        sa.Column("document", sa.String(64), primary_key=True),
        sa.Column("decision", sa.String(16)),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_reviews_decision", "reviews", ["decision"])
    op.create_table(
        "superseded",
        sa.Column("example", sa.String(64), primary_key=True),
        sa.Column("document", sa.String(64), primary_key=True),
        sa.Column("newer", sa.String(64), primary_key=True),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_superseded_document", "superseded", ["document"])
    op.create_index("ix_superseded_newer", "superseded", ["newer"])
    op.create_table(
        "claims",
        sa.Column("document", sa.String(64), primary_key=True),
        sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("trust", sa.Float, nullable=False),
    )
    op.create_index("ix_claims_key", "claims", ["key", "document", "trust"])
