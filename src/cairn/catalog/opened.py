"""An opened catalog: the database brought up to date, and one object per subject."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cairn.catalog.access_requests import AccessRequests
from cairn.catalog.accounts import Accounts
from cairn.catalog.appeals import Appeals
from cairn.catalog.arrivals import Arrivals
from cairn.catalog.attachments import Attachments
from cairn.catalog.attempts import Attempts
from cairn.catalog.audit import Audit
from cairn.catalog.blob_health import BlobHealth
from cairn.catalog.blob_scans import BlobScans
from cairn.catalog.chunk_lists import ChunkLists
from cairn.catalog.comparisons import Comparisons
from cairn.catalog.database import Database
from cairn.catalog.history import History
from cairn.catalog.holdings import Holdings
from cairn.catalog.identities import Identities
from cairn.catalog.lanes import Lanes
from cairn.catalog.logbook import Logbook
from cairn.catalog.migration import upgrade
from cairn.catalog.notifications import Notifications
from cairn.catalog.passwords import Passwords
from cairn.catalog.past_commits import PastCommits
from cairn.catalog.quotas import Quotas
from cairn.catalog.repos import Repos
from cairn.catalog.rule_sets import RuleSets
from cairn.catalog.scan_policies import ScanPolicies
from cairn.catalog.schema import comparisons, weight_reports
from cairn.catalog.sessions import Sessions
from cairn.catalog.sign_in_rules import SignInRules
from cairn.catalog.tokens import Tokens
from cairn.catalog.tree_store import TreeStore
from cairn.catalog.trusted_signers import TrustedSigners
from cairn.catalog.uploads import Uploads
from cairn.catalog.verdict_changes import VerdictChanges
from cairn.catalog.waivers import Waivers


@dataclass(frozen=True)
class Catalog:
    """Who, which repo, which revision. Every part may be used from any thread."""

    accounts: Accounts
    tokens: Tokens
    passwords: Passwords
    sessions: Sessions
    identities: Identities
    attempts: Attempts
    repos: Repos
    history: History
    past_commits: PastCommits
    arrivals: Arrivals
    uploads: Uploads
    quotas: Quotas
    audit: Audit
    blob_health: BlobHealth
    blob_scans: BlobScans
    holdings: Holdings
    rule_sets: RuleSets
    lanes: Lanes
    verdict_changes: VerdictChanges
    comparisons: Comparisons
    weight_reports: Comparisons
    chunk_lists: ChunkLists
    logbook: Logbook
    attachments: Attachments
    trusted_signers: TrustedSigners
    notifications: Notifications
    scan_policies: ScanPolicies
    waivers: Waivers
    appeals: Appeals
    access_requests: AccessRequests
    database: Database

    def tune(self) -> None:
        """Keep queries fast as tables grow; worth an hourly call."""
        self.database.tune()

    def close(self) -> None:
        """Write what is counted in memory and close the connections."""
        self.repos.close()
        self.database.close()


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


def open_catalog(
    url: str, *, clock: Callable[[], datetime] = utc_now, rules: SignInRules | None = None
) -> Catalog:
    """Open the catalog at `sqlite:///path/to/file` or `postgresql+psycopg://...`.

    Creates or upgrades its tables; several processes may do so at once.

    Raises:
        RequestError: the URL is of another kind.
        MissingExtraError: the PostgreSQL driver is not installed.
        UnavailableError: the database cannot be reached, or a newer Cairn upgraded it.
    """
    rules = rules or SignInRules()
    database = Database(url)
    upgrade(database)
    trees = TreeStore(database)
    return Catalog(
        accounts=Accounts(database, clock),
        tokens=Tokens(database, clock),
        passwords=Passwords(database, clock, rules),
        sessions=Sessions(database, clock, rules),
        identities=Identities(database, clock),
        attempts=Attempts(database, clock),
        repos=Repos(database, clock),
        history=History(database, trees, clock),
        past_commits=PastCommits(database, trees),
        arrivals=Arrivals(database, trees, clock),
        uploads=Uploads(database, clock),
        quotas=Quotas(database, clock),
        audit=Audit(database),
        blob_health=BlobHealth(database),
        blob_scans=BlobScans(database, clock),
        holdings=Holdings(database, trees),
        rule_sets=RuleSets(database, clock),
        lanes=Lanes(database, clock),
        verdict_changes=VerdictChanges(database, clock),
        comparisons=Comparisons(database, clock, comparisons),
        weight_reports=Comparisons(database, clock, weight_reports),
        chunk_lists=ChunkLists(database, clock),
        logbook=Logbook(database, clock),
        attachments=Attachments(database, clock),
        trusted_signers=TrustedSigners(database, clock),
        notifications=Notifications(database, clock),
        scan_policies=ScanPolicies(database, clock),
        waivers=Waivers(database, clock),
        appeals=Appeals(database, clock),
        access_requests=AccessRequests(database, clock),
        database=database,
    )
