"""Where Alembic enters: it works on the open connection that `cairn.catalog.migration` hands it."""

from alembic import context

from cairn.catalog.migration import context_options

context.configure(connection=context.config.attributes["connection"], **context_options())
with context.begin_transaction():
    context.run_migrations()
