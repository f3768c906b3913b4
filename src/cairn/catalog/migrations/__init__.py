"""How the catalog's tables came to be: Alembic migrations, run by `cairn.catalog.migration`."""
