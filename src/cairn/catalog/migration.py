"""How a database is brought to this version's tables, once, whoever starts first.

The whole upgrade is one transaction: BEGIN IMMEDIATE on SQLite, an advisory lock on
PostgreSQL. Processes that start together wait for the first and find the work done.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from cairn.catalog.database import Database
from cairn.catalog.schema import metadata
from cairn.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0020"
MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6361_6972_6E  # "cairn" in ASCII: the advisory lock all processes agree on
_SEARCH_TABLE = "repo_search"


def upgrade(database: Database) -> None:
    """Create or upgrade the tables.

    Raises:
        UnavailableError: the database was upgraded by a newer Cairn, or cannot be reached.
    """
    with database.read() as connection:
        if current(connection) == HEAD:
            return  # the usual start: do not pay for importing Alembic
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = current(connection)
        if found != HEAD:
            _run(connection, found)


def current(connection: Connection) -> str | None:
    """The last migration applied; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def config_for(connection: Connection) -> "Config":
    """Alembic's settings for these migrations on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def context_options() -> dict[str, Any]:
    """How Alembic compares and writes: SQLite alters by copying, search tables are left alone."""
    return {
        "target_metadata": metadata,
        "render_as_batch": True,
        "transactional_ddl": True,
        "compare_type": True,
        "include_name": _is_ours,
    }


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the full-text table with its indexes and, on SQLite, its shadow tables."""
    return not (kind == "table" and name is not None and name.startswith(_SEARCH_TABLE))


def _run(connection: Connection, found: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = config_for(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise UnavailableError(
            f"the database is at version {found}, which this Cairn ({HEAD}) does not know;"
            " install the newer Cairn that upgraded it"
        )
    command.upgrade(config, "head")
