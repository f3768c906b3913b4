"""Who the caller is: whoami, overviews of users and organisations, and access checks."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Account, Actor, Grant, OrgRole, Permission
from cairn.errors import NotFoundError, UnauthenticatedError
from cairn.hub import threads
from cairn.hub.hf.params import repo_id_of
from cairn.hub.identity import actor_of, house_of, require_user
from cairn.hub.routing import RawRoute, api_route
from cairn.hub.urls import base_url
from cairn.workflows.access import openable, writable
from cairn.workflows.house import House

_PERMISSIONS = (
    (Permission.READ, "repo.content.read"),
    (Permission.WRITE, "repo.write"),
    (Permission.ADMIN, "repo.admin"),  # ours: deletion and visibility
)


async def whoami(request: Request) -> Response:
    """The account and the scope of the token in use."""
    actor = require_user(await actor_of(request))
    account = actor.account
    assert account is not None
    organisations = [
        await _organisation(request, name, role) for name, role in actor.organisations.items()
    ]
    token: dict[str, Any] = {"displayName": actor.token_name, "role": actor.scope.value}
    if not actor.is_whole:
        scoped = [_scoped(actor, grant) for grant in actor.grants]
        token["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": scoped}
    return JSONResponse(
        {
            "type": "user",
            "id": account.name,
            "name": account.name,
            "fullname": account.full_name or account.name,
            "email": account.email,
            "emailVerified": account.email is not None,
            "canPay": False,
            "isPro": False,
            "isAdmin": account.is_admin,
            "avatarUrl": _avatar(request),
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def _scoped(actor: Actor, grant: Grant) -> dict[str, Any]:
    """A grant in the words of the HF hub, which has more and finer ones."""
    if grant.repo is not None:
        entity = {"type": grant.repo.type.value, "name": grant.repo.full_name}
    else:
        own = grant.namespace.lower() == actor.name.lower()
        entity = {"type": "user" if own else "org", "name": grant.namespace}
    permissions = [
        word for permission, word in _PERMISSIONS if grant.permission.includes(permission)
    ]
    return {"entity": {"_id": entity["name"], **entity}, "permissions": permissions}


async def _organisation(request: Request, name: str, role: OrgRole) -> dict[str, Any]:
    account = await threads.call(house_of(request).catalog.accounts.get, name)
    return {
        "type": "org",
        "id": account.name,
        "name": account.name,
        "fullname": account.full_name or account.name,
        "email": None,
        "canPay": False,
        "isEnterprise": False,
        "avatarUrl": _avatar(request),
        "roleInOrg": role.value,
    }


def _avatar(request: Request) -> str:
    return f"{base_url(request)}/static/avatar.svg"


def _account(house: House, name: str, *, is_org: bool) -> Account:
    account = house.catalog.accounts.get(name)
    if account.is_org is not is_org:
        kind = "organisation" if is_org else "user"
        raise NotFoundError(f"there is no {kind} named {name[:96]!r}")
    return account


async def user_overview(request: Request) -> Response:
    """What anybody may know of a user."""
    house, name = house_of(request), request.path_params["name"]
    account = await threads.call(_account, house, name, is_org=False)
    organisations = await threads.call(house.catalog.accounts.organisations_of, account.name)
    return JSONResponse(
        {
            "type": "user",
            "user": account.name,
            "fullname": account.full_name or account.name,
            "avatarUrl": _avatar(request),
            "orgs": [
                {"name": name, "fullname": name, "avatarUrl": _avatar(request)}
                for name in organisations
            ],
        }
    )


async def organisation_overview(request: Request) -> Response:
    """What anybody may know of an organisation."""
    house, name = house_of(request), request.path_params["name"]
    account = await threads.call(_account, house, name, is_org=True)
    members = await threads.call(house.catalog.accounts.members, account.name)
    return JSONResponse(
        {
            "type": "org",
            "name": account.name,
            "fullname": account.full_name or account.name,
            "avatarUrl": _avatar(request),
            "numUsers": len(members),
        }
    )


async def organisation_members(request: Request) -> Response:
    """The members of an organisation."""
    house, name = house_of(request), request.path_params["name"]
    account = await threads.call(_account, house, name, is_org=True)
    members = await threads.call(house.catalog.accounts.members, account.name)
    return JSONResponse(
        [
            {
                "type": "user",
                "user": member.name,
                "fullname": member.full_name or member.name,
                "avatarUrl": _avatar(request),
            }
            for member, _role in members
        ]
    )


async def auth_check(request: Request) -> Response:
    """200 if the caller may read the repo's files (or write, on `/write`)."""
    actor = await actor_of(request)
    write = request.path_params.get("mode") == "write"
    if write and actor.account is None:
        raise UnauthenticatedError("log in first: send a token as 'Authorization: Bearer ...'")
    check = writable if write else openable
    await threads.call(check, house_of(request), actor, repo_id_of(request))
    return JSONResponse({"ok": True})


routes: list[BaseRoute] = [
    RawRoute("/api/whoami-v2", whoami),
    RawRoute("/api/users/{name}/overview", user_overview),
    RawRoute("/api/organizations/{name}/overview", organisation_overview),
    RawRoute("/api/organizations/{name}/members", organisation_members),
    api_route("/auth-check", auth_check),
    api_route("/auth-check/{mode:write}", auth_check),
]
