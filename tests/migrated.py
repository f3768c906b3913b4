"""New SQLite catalogs start as copies of one that was migrated.

More than a thousand tests open a catalog of their own, and bringing an empty database through
every migration takes 0.2 s of processor time. The tests of the migrations call
`cairn.catalog.migration.upgrade`, which stays as it is; so do processes that tests start.
"""

import os
import tempfile
from functools import cache
from pathlib import Path

from cairn.catalog import migration, opened
from cairn.catalog.database import Database


def use_copies() -> None:
    """From now on, in this process and those it forks."""
    opened.upgrade = _copy_or_upgrade


@cache
def migrated() -> bytes:
    """The file of an empty catalog."""
    with tempfile.TemporaryDirectory(prefix="cairn-migrated.") as folder:
        made = Path(folder) / "catalog.db"
        database = Database(f"sqlite:///{made}")
        migration.upgrade(database)
        database.close()
        return made.read_bytes()


def _copy_or_upgrade(database: Database) -> None:
    if database.is_sqlite:
        path = Path(str(database._reader.url.database))
        if not path.exists():
            _appear(migrated(), path)
    migration.upgrade(database)


def _appear(content: bytes, path: Path) -> None:
    """All of it at once, unless somebody else was first."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        try:
            os.link(copy, path)
        except FileExistsError:
            return
