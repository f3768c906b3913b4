"""Which repos have scan policies of their own."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select

from cairn.catalog import audit
from cairn.catalog.database import Database
from cairn.catalog.decided import RepoPolicy
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import scan_policies
from cairn.domain import Actor, ScanPolicy


class ScanPolicies:
    """Policies by repo."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, uid: str) -> RepoPolicy:
        """What was decided for a repo."""
        with self._database.read() as connection:
            return _of(connection, uid)

    def put(self, repo: RepoRecord, policy: RepoPolicy, by: Actor | None) -> None:
        """Decide for a repo, in place of what was decided before."""
        row = {"repo": repo.uid, "floor": policy.floor, "wanted": policy.wanted}
        with self._database.write() as connection:
            before = _of(connection, repo.uid)
            if before == policy:
                return
            connection.execute(delete(scan_policies).filter_by(repo=repo.uid))
            if policy != RepoPolicy():
                connection.execute(insert(scan_policies), row)
            detail = f"{_words(before)} -> {_words(policy)}"
            audit.note(connection, self._clock(), by, "repo.scan_policy", repo.id, detail)

    def any_scans(self) -> bool:
        """Whether some repo is to be scanned whatever the hub's policy is."""
        loosest = ScanPolicy.ALLOW.value
        scans = or_(scan_policies.c.floor != loosest, scan_policies.c.wanted != loosest)
        with self._database.read() as connection:
            query = select(scan_policies.c.repo).where(scans).limit(1)
            return connection.execute(query).first() is not None


def _of(connection: Connection, uid: str) -> RepoPolicy:
    row = connection.execute(select(scan_policies).filter_by(repo=uid)).one_or_none()
    return RepoPolicy() if row is None else RepoPolicy(_policy(row.floor), _policy(row.wanted))


def _policy(text: str | None) -> ScanPolicy | None:
    return None if text is None else ScanPolicy(text)


def _words(policy: RepoPolicy) -> str:
    return f"{policy.floor or 'default'}, at least {policy.wanted or 'default'}"
