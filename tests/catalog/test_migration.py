"""The migrations make exactly the tables the code speaks of, on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from cairn.catalog import migration, open_catalog, schema
from cairn.catalog.database import Database
from cairn.errors import RequestError, UnavailableError


@pytest.fixture
def database(empty_url: str):
    opened = Database(empty_url)
    yield opened
    opened.close()


def differences(database: Database) -> list:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts=migration.context_options())
        return compare_metadata(context, schema.metadata)


def test_migrations_and_metadata_do_not_drift_apart(database: Database) -> None:
    migration.upgrade(database)
    assert differences(database) == []


def test_a_column_forgotten_in_the_migrations_would_be_noticed(database: Database) -> None:
    migration.upgrade(database)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE uploads DROP COLUMN size_bytes"))
    assert [difference[0] for difference in differences(database)] == ["add_column"]


def test_the_migrations_can_be_undone_and_done_again(database: Database) -> None:
    migration.upgrade(database)
    with database.write() as connection:
        command.downgrade(migration.config_for(connection), "base")
    with database.read() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    migration.upgrade(database)
    assert differences(database) == []


def test_the_head_named_in_code_is_the_last_migration(database: Database) -> None:
    with database.write() as connection:
        scripts = ScriptDirectory.from_config(migration.config_for(connection))
    assert scripts.get_heads() == [migration.HEAD]


def test_a_database_upgraded_by_a_newer_cairn_is_left_alone(
    database: Database, empty_url: str
) -> None:
    migration.upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnavailableError, match="9999"):
        open_catalog(empty_url)


def test_a_half_done_upgrade_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", fail)
        with pytest.raises(RuntimeError):
            migration.upgrade(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == []
    migration.upgrade(database)
    assert differences(database) == []


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://h"],
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="sqlite:///"):
        open_catalog(url)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        open_catalog("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")


def test_a_sqlite_file_syncs_every_acknowledged_commit(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path / 'new' / 'folder' / 'catalog.db'}")
    with catalog.database.write() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    catalog.close()
    full = 2  # https://www.sqlite.org/pragma.html#pragma_synchronous
    assert values == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
