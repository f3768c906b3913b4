"""Which policy holds for a repo and for the hub, and who may change it."""

from cairn.catalog import RepoPolicy, RepoRecord
from cairn.domain import Actor, RepoId, ScanPolicy
from cairn.errors import ForbiddenError
from cairn.workflows.access import require_admin, writable
from cairn.workflows.house import House


def decide_hub_policy(house: House, actor: Actor, policy: ScanPolicy | None) -> None:
    """Let a policy hold for the hub in place of its setting; None: the setting holds again.

    It holds from now on, for every process on this catalog. What repos decided stays.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
    """
    require_admin(actor)
    house.catalog.scan_policies.put_hub(policy, actor)


def decide_policy(
    house: House, actor: Actor, repo_id: RepoId, floor: ScanPolicy | None
) -> RepoRecord:
    """Let a policy hold for a repo in place of the hub's; None: the hub's holds again.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        RepoNotFoundError: there is no such repo.
    """
    require_admin(actor)
    record = house.catalog.repos.get(repo_id)
    own = house.catalog.scan_policies.of(record.uid)
    house.catalog.scan_policies.put(record, RepoPolicy(floor, own.wanted), actor)
    return record


def want_policy(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    wanted: ScanPolicy | None,
    *,
    default: ScanPolicy,
) -> RepoRecord:
    """Want at least this policy for a repo of one's own; None: what the hub decides is enough.

    `default` is the policy of the hub.

    Raises:
        RepoNotFoundError, UnauthenticatedError: as for `writable`.
        ForbiddenError: the caller may not write to the repo, or it would be looser than what the
            hub decides.
    """
    record = writable(house, actor, repo_id)
    own = house.catalog.scan_policies.of(record.uid)
    floor = own.floor or default
    if wanted is not None and wanted.strictness < floor.strictness:
        raise ForbiddenError(
            f"{floor.value} holds for {record.id.full_name}: owners may be stricter; ask an"
            " administrator of this hub for less"
        )
    house.catalog.scan_policies.put(record, RepoPolicy(own.floor, wanted), actor)
    return record
