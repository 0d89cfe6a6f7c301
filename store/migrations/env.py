"""Run by Alembic: migrates over the connection that store/migrations hands in."""

from alembic import context

from store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll back DDL here, as store/database.py begins transactions itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
