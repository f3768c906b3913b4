"""Which scan policies administrators and owners decided on: for the hub, and for single repos."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, literal, null, or_, select, union_all

from cairn.catalog import audit, log_waiting
from cairn.catalog.database import Database
from cairn.catalog.decided import RepoPolicy
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import decided_settings, scan_policies
from cairn.domain import Actor, LogKind, RepoId, ScanPolicy

_SETTING = "scan_policy"
_HUB = decided_settings.c.name == _SETTING


class ScanPolicies:
    """Policies by repo, and the one of the hub if it is not that of its settings."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, uid: str) -> RepoPolicy:
        """What was decided for a repo."""
        with self._database.read() as connection:
            return _of(connection, uid)

    def of_hub(self) -> ScanPolicy | None:
        """What was decided for the hub; None: what its settings say."""
        with self._database.read() as connection:
            return _of_hub(connection)

    def over(self, uid: str, setting: ScanPolicy) -> ScanPolicy:
        """What holds for a repo of a hub whose settings say `setting`; one query."""
        own = select(scan_policies.c.floor, scan_policies.c.wanted, literal(0).label("hub"))
        hub = select(decided_settings.c.value, null(), literal(1)).where(_HUB)
        query = union_all(own.where(scan_policies.c.repo == uid), hub)
        repo_policy, hub_policy = RepoPolicy(), setting
        with self._database.read() as connection:
            for row in connection.execute(query):
                if row.hub:
                    hub_policy = ScanPolicy(row.floor)
                else:
                    repo_policy = RepoPolicy(_policy(row.floor), _policy(row.wanted))
        return repo_policy.over(hub_policy)

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
            self._note(connection, by, repo.uid, repo.id, _words(before), _words(policy))

    def put_hub(self, policy: ScanPolicy | None, by: Actor | None) -> None:
        """Decide for the hub, in place of what its settings say; None: they hold again."""
        with self._database.write() as connection:
            before = _of_hub(connection)
            if before == policy:
                return
            connection.execute(delete(decided_settings).where(_HUB))
            if policy is not None:
                connection.execute(insert(decided_settings), {"name": _SETTING, "value": policy})
            words = (before or "default", policy or "default")
            self._note(connection, by, None, None, *map(str, words))

    def _note(
        self,
        connection: Connection,
        by: Actor | None,
        uid: str | None,
        repo: RepoId | None,
        before: str,
        after: str,
    ) -> None:
        """Write it into the audit trail, and have it wait for the transparency log."""
        now, actor = self._clock(), audit.name_of(by)
        action = "repo.scan_policy" if repo else "hub.scan_policy"
        audit.note(connection, now, by, action, repo, f"{before} -> {after}")
        facts = {"before": before, "policy": after}
        log_waiting.decided(connection, uid, LogKind.SCAN_POLICY, facts, actor=actor, at=now)

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


def _of_hub(connection: Connection) -> ScanPolicy | None:
    return _policy(connection.execute(select(decided_settings.c.value).where(_HUB)).scalar())


def _policy(text: str | None) -> ScanPolicy | None:
    return None if text is None else ScanPolicy(text)


def _words(policy: RepoPolicy) -> str:
    return f"{policy.floor or 'default'}, at least {policy.wanted or 'default'}"
