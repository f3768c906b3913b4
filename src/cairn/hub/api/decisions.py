"""What people decide about scans: waivers, appeals and their answers, policies of repos."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from cairn.catalog import Appeal
from cairn.domain import Actor, Digest, RepoId, RepoType, ScanPolicy
from cairn.errors import NamingError, RepoNotFoundError, RequestError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS, Problem
from cairn.hub.api.repos import Kind, Name, caller, open_revision
from cairn.hub.api.security import WaiverTold, waiver_told
from cairn.hub.identity import house_of, releasing_of
from cairn.workflows import appealing, scan_policies, waiving
from cairn.workflows.access import readable, require_admin, require_writer
from cairn.workflows.house import House
from cairn.workflows.releasing import Releasing

router = APIRouter()

MAX_TEXT = 4000
Reason = Annotated[str, Field(min_length=1, max_length=1000, description="Kept for good.")]
Ends = Annotated[datetime | None, Field(description="When it ends; null: never.")]
CONFLICT = {**PROBLEMS, 409: {"model": Problem, "description": "It is so already."}}


class NewWaiver(BaseModel):
    """What is to be let pass."""

    sha256: Annotated[str, Field(description="Of the file.")]
    rule: str
    repo: Annotated[str | None, Field(description="models/namespace/name; null: everywhere.")] = (
        None
    )
    reason: Reason
    expires_at: Ends = None


class Why(BaseModel):
    """Why something is decided."""

    reason: Reason


class Waivers(BaseModel):
    """Waivers, the newest first."""

    waivers: list[WaiverTold]


@router.get("/waivers", responses=PROBLEMS)
async def waivers(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[int | None, Query(ge=0, le=(1 << 63) - 1)] = None,
) -> Waivers:
    """All waivers of the hub, revoked and ended ones among them; for administrators."""
    require_admin(actor)
    house = house_of(request)
    found = await threads.call(lambda: house.catalog.waivers.newest(limit, before=before))
    return Waivers(waivers=[waiver_told(one) for one in found])


@router.post("/waivers", status_code=201, responses=CONFLICT)
async def waive(
    request: Request, actor: Annotated[Actor, Depends(caller)], new: NewWaiver
) -> WaiverTold:
    """Let pass what a rule finds in a file, in one repo or everywhere; for administrators."""
    made = await threads.call(
        waiving.waive,
        house_of(request),
        actor,
        None if new.repo is None else _repo_named(new.repo),
        Digest.sha256(new.sha256),
        new.rule,
        new.reason,
        new.expires_at,
    )
    return waiver_told(made)


@router.post("/waivers/{number}/revoke", responses=CONFLICT)
async def revoke(
    request: Request, actor: Annotated[Actor, Depends(caller)], number: int, why: Why
) -> WaiverTold:
    """Let findings count again; for administrators."""
    done = await threads.call(waiving.revoke, house_of(request), actor, number, why.reason)
    return waiver_told(done)


class NewAppeal(BaseModel):
    """What an owner says against a verdict."""

    path: str
    revision: str = "main"
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class AppealTold(BaseModel):
    """An appeal, and its answer if there is one."""

    id: int
    repo: str
    path: str
    sha256: str
    text: str
    made_by: str
    made_at: datetime
    answer: Literal["upheld", "waived"] | None
    reason: str | None
    answered_by: str | None
    answered_at: datetime | None


class Appeals(BaseModel):
    """Appeals."""

    appeals: list[AppealTold]


class Answer(BaseModel):
    """What an administrator says: that the verdict stands, or that findings are let pass."""

    answer: Literal["uphold", "waive"]
    reason: Reason
    expires_at: Ends = None


@router.get("/appeals", responses=PROBLEMS)
async def appeals(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    state: Annotated[Literal["open", "answered"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Appeals:
    """The appeals that wait, oldest first, or those answered, newest first; for administrators."""
    require_admin(actor)
    kept = house_of(request).catalog.appeals
    found = await threads.call(kept.open if state == "open" else kept.answered, limit)
    return Appeals(appeals=[_appeal(one) for one in found])


@router.post("/appeals/{number}/answer", responses=CONFLICT)
async def answer(
    request: Request, actor: Annotated[Actor, Depends(caller)], number: int, given: Answer
) -> AppealTold:
    """Answer an appeal; for administrators."""
    house = house_of(request)
    if given.answer == "uphold":
        done = await threads.call(appealing.uphold, house, actor, number, given.reason)
    else:
        done = await threads.call(
            appealing.accept, house, actor, number, given.reason, given.expires_at
        )
    return _appeal(done)


@router.get("/{kind}/{namespace}/{name}/appeals", responses=PROBLEMS)
async def appeals_of_repo(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
) -> Appeals:
    """The appeals of a repo, newest first; for those who may write to it."""
    house = house_of(request)

    def work() -> Appeals:
        record = readable(house, actor, _repo_id(kind, namespace, name))
        require_writer(actor, record.id.namespace)
        return Appeals(appeals=[_appeal(one) for one in house.catalog.appeals.of(record.uid)])

    return await threads.call(work)


@router.post("/{kind}/{namespace}/{name}/appeals", status_code=201, responses=CONFLICT)
async def appeal(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    new: NewAppeal,
) -> AppealTold:
    """Say something against the verdict on a file; for those who may write to the repo."""
    house = house_of(request)

    def work() -> AppealTold:
        view = open_revision(house, actor, kind, namespace, name, new.revision)
        return _appeal(appealing.appeal(house, actor, view, new.path, new.text))

    return await threads.call(work)


class Policy(BaseModel):
    """Which policy is asked for; null: none of its own."""

    policy: ScanPolicy | None
    by: Annotated[
        Literal["owner", "administrator"],
        Field(description="Owners want at least a policy; administrators decide in place of it."),
    ] = "owner"


class PolicyTold(BaseModel):
    """Which policy holds for a repo, and why."""

    policy: ScanPolicy
    hub: ScanPolicy = Field(description="The policy of the hub.")
    administrator: ScanPolicy | None = Field(description="What holds in place of the hub's.")
    owner: ScanPolicy | None = Field(description="What owners want at least.")


@router.get("/{kind}/{namespace}/{name}/scan-policy", responses=PROBLEMS)
async def policy(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
) -> PolicyTold:
    """Which scan policy holds for a repo."""
    house, releasing = house_of(request), releasing_of(request)

    def work() -> PolicyTold:
        record = readable(house, actor, _repo_id(kind, namespace, name))
        return _policy(house, record.uid, releasing.default)

    return await threads.call(work)


@router.put("/{kind}/{namespace}/{name}/scan-policy", responses=PROBLEMS)
async def set_policy(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    asked: Policy,
) -> PolicyTold:
    """Change it: owners towards stricter, administrators as they like."""
    house, releasing = house_of(request), releasing_of(request)
    repo_id = _repo_id(kind, namespace, name)

    def work() -> PolicyTold:
        default = releasing.default
        if asked.by == "administrator":
            record = scan_policies.decide_policy(house, actor, repo_id, asked.policy)
        else:
            record = scan_policies.want_policy(house, actor, repo_id, asked.policy, default=default)
        return _policy(house, record.uid, default)

    return await threads.call(work)


class HubPolicy(BaseModel):
    """Which policy is asked for; null: that of the settings."""

    policy: ScanPolicy | None


class HubPolicyTold(BaseModel):
    """Which policy holds for repos that have none of their own, and why."""

    policy: ScanPolicy
    setting: ScanPolicy = Field(description="What the settings of this hub say.")
    administrator: ScanPolicy | None = Field(description="What holds in place of the setting.")


@router.get("/scan-policy", responses=PROBLEMS)
async def hub_policy(request: Request) -> HubPolicyTold:
    """Which scan policy the hub has."""
    return await threads.call(_hub_policy, releasing_of(request))


@router.put("/scan-policy", responses=PROBLEMS)
async def set_hub_policy(
    request: Request, actor: Annotated[Actor, Depends(caller)], asked: HubPolicy
) -> HubPolicyTold:
    """Change it for all repos that have none of their own, at once; for administrators."""
    house = house_of(request)
    await threads.call(scan_policies.decide_hub_policy, house, actor, asked.policy)
    return await threads.call(_hub_policy, releasing_of(request))


def _hub_policy(releasing: Releasing) -> HubPolicyTold:
    decided = releasing.house.catalog.scan_policies.of_hub()
    return HubPolicyTold(
        policy=decided or releasing.setting, setting=releasing.setting, administrator=decided
    )


def _policy(house: House, uid: str, default: ScanPolicy) -> PolicyTold:
    own = house.catalog.scan_policies.of(uid)
    return PolicyTold(
        policy=own.over(default), hub=default, administrator=own.floor, owner=own.wanted
    )


def _appeal(one: Appeal) -> AppealTold:
    return AppealTold(
        id=one.id,
        repo=f"{one.repo.type.plural}/{one.repo.full_name}",
        path=one.path,
        sha256=one.blob.digest.hex,
        text=one.text,
        made_by=one.made_by,
        made_at=one.made_at,
        answer=one.answer,  # type: ignore[arg-type]
        reason=one.reason,
        answered_by=one.answered_by,
        answered_at=one.answered_at,
    )


def _repo_id(kind: str, namespace: str, name: str) -> RepoId:
    try:
        return RepoId(RepoType.from_plural(kind), namespace, name)
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such repo: {error}") from None


def _repo_named(text: str) -> RepoId:
    kind, _, rest = text.partition("/")
    try:
        return RepoId.parse(RepoType.from_plural(kind), rest)
    except NamingError:
        raise RequestError(f"{text[:120]!r} is not models/namespace/name") from None
