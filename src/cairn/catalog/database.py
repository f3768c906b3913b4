"""How the catalog reaches its database: one reader and one writer connection pool.

SQLite decides at BEGIN whether a transaction may ever write: a plain BEGIN that writes
later can lose an update or fail at once with "database is locked", which no timeout
helps. So writers say BEGIN IMMEDIATE and readers BEGIN, from different pools
(https://www.sqlite.org/lang_transaction.html). A lock in this process queues its own
writers, because SQLite's busy handler sleeps and is not fair.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from cairn.errors import IntegrityError, MissingExtraError, RequestError, UnavailableError

BUSY_TIMEOUT_S = 30.0  # several hundred commits of other processes, each a few milliseconds
_FORMS = "use sqlite:///path/to/file or postgresql+psycopg://user:password@host/database"
_ANALYSED_ROWS = 1000  # per index; https://www.sqlite.org/lang_analyze.html advises 100-1000
_POOL_SIZE = 8  # connections kept; requests run in at most 40 threads (anyio's default)
_POOL_OVERFLOW = 40


class Database:
    """Transactions on one SQLite file or PostgreSQL database, from any thread."""

    def __init__(self, url: str) -> None:
        """Raises RequestError for a URL of another kind, MissingExtraError without psycopg."""
        parsed = _parse(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = _sqlite_engine(parsed, "BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(parsed, "BEGIN")
            self._writing: Any = Lock()
        else:
            self._writer = _postgres_engine(parsed)
            self._reader = _postgres_engine(
                parsed, isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writing = nullcontext()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database.

        Raises:
            UnavailableError: it cannot be reached.
        """
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: durable when the block ends, undone when it raises.

        Raises:
            UnavailableError: the database cannot be reached or stays locked by others.
        """
        with self._writing, _translated(), self._writer.begin() as connection:
            yield connection

    def tune(self) -> None:
        """Let SQLite look at the sizes of its tables, so that it picks the right index.

        PostgreSQL does so by itself. Worth an hourly call: about 0.1 s with 50,000 repos.
        """
        if not self.is_sqlite:
            return
        with self.write() as connection:
            connection.exec_driver_sql(f"PRAGMA analysis_limit={_ANALYSED_ROWS}")
            connection.exec_driver_sql("ANALYZE")
        self._reader.dispose()  # open connections would keep what they knew

    def close(self) -> None:
        """Close the pooled connections."""
        self._reader.dispose()
        self._writer.dispose()


def insert_if_new(
    connection: Connection, table: Table, row: dict[str, Any], key: str | None = None
) -> bool:
    """Insert a row unless one with the same key is there; whether it was inserted.

    `key` is a column with unique values; without it the primary key counts.
    """
    statement = _insert_or_skip(connection, table, key)
    # SQLAlchemy keeps the count only of UPDATE and DELETE unless asked.
    done = connection.execute(statement, row, execution_options={"preserve_rowcount": True})
    return done.rowcount == 1


def insert_all_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose primary key is not there yet.

    PostgreSQL writers wait for each other's uncommitted keys: give rows in key order.
    """
    if rows:
        connection.execute(_insert_or_skip(connection, table, None), rows)


def _insert_or_skip(connection: Connection, table: Table, key: str | None) -> Insert:
    target = [column.name for column in table.primary_key] if key is None else [key]
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=target)
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=target)


def storable(text: str) -> bool:
    """Whether a text column can hold it: PostgreSQL takes neither NUL nor lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason"
        raise UnavailableError(f"the database cannot be used now: {reason}; try again") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError("the connection to the database broke; try again") from error
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise IntegrityError(f"the database is damaged: {error.orig}; restore it") from error
        raise


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise RequestError(f"the database URL cannot be read; {_FORMS}") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise RequestError(f"the database URL starts with {parsed.drivername!r}; {_FORMS}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise RequestError(f"the database URL names no SQLite file; {_FORMS}")
    return parsed


def _sqlite_engine(url: URL, begin: str) -> Engine:
    assert url.database is not None
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver opens no transactions of its own
        _use_write_ahead_log(connection)
        # FULL: a commit that returned survives power loss; NORMAL would lose the last ones.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file to WAL; SQLite does not wait for a lock here, so we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError:
            mode = "locked"
        if mode == "wal":
            return
        if time.monotonic() > deadline:
            raise UnavailableError(f"SQLite cannot use a write-ahead log here (mode {mode})")
        time.sleep(0.02)


def _postgres_engine(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_OVERFLOW,
            pool_pre_ping=True,
            execution_options=options,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingExtraError(
            "PostgreSQL needs its driver: pip install 'cairn-hub[postgres]'"
        ) from error
