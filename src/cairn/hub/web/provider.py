"""To the OpenID provider and back: signing in, and linking an identity to one's account.

Both ways begin with a GET, because a browser would not follow a form of ours to another host (the
Content-Security-Policy says `form-action 'self'`). To begin signing in is harmless; to begin
linking takes the same proof as a form, or somebody could have their own identity linked to
another's account.
"""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from cairn.errors import (
    CairnError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RequestError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.hub import threads
from cairn.hub.cookies import cookie_of, delete_cookie, set_cookie
from cairn.hub.csrf import check_csrf
from cairn.hub.errors import status_and_code
from cairn.hub.identity import caller_of, check_same_origin, house_of, visitor_of
from cairn.hub.oidc.flow import PENDING_S, Pending, authorization_url, claims_of_answer
from cairn.hub.oidc.id_token import admitted
from cairn.hub.oidc.setup import Oidc, oidc_of
from cairn.hub.routing import RawRoute
from cairn.hub.signing import Signer
from cairn.hub.urls import base_url
from cairn.hub.web.account import PAGE
from cairn.hub.web.posting import posted_by_owner, require_owner, sign_in_limits
from cairn.hub.web.session import enter, local_target, login_form
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.provider_sign_in import (
    WAY,
    Identity,
    link_identity,
    sign_in_by_provider,
    unlink_identity,
)
from cairn.workflows.sign_in import Caller, attempt_from, require_proof

COOKIE = "cairn_oidc"
CALLBACK = "/login/oidc/callback"
_PURPOSE = "oidc"
EXPECTED = (
    RequestError,
    UnauthenticatedError,
    ForbiddenError,
    ConflictError,
    ThrottledError,
    UnavailableError,
)


def _start(visit: Visit) -> Response:
    target = local_target(visit.request.query_params.get("next", ""))
    return _depart(visit, Pending.begin(target))


def _start_linking(visit: Visit) -> Response:
    check_same_origin(visit.request)
    check_csrf(visit.request, dict(visit.request.query_params))
    require_owner(visit)
    require_proof(visit.house, visit.actor)
    return _depart(visit, Pending.begin(PAGE, linking=visit.actor.name))


def _depart(visit: Visit, pending: Pending) -> Response:
    oidc = _configured(visit.request)
    url = authorization_url(oidc.provider, oidc.client, pending, _redirect_uri(visit.request))
    response = RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})
    expires_at = int(visit.now.timestamp()) + PENDING_S
    value = _signer(visit.request).token(_PURPOSE, asdict(pending), expires_at)
    set_cookie(visit.request, response, COOKIE, value, PENDING_S)
    return response


async def _callback(request: Request) -> Response:
    visit = Visit(request, house_of(request), await visitor_of(request))
    try:
        pending = _pending(request)
        cookie = await threads.call_long(_arrive, visit, pending, caller_of(request))
    except (
        RequestError,
        UnauthenticatedError,
        ForbiddenError,
        ConflictError,
        UnavailableError,
    ) as e:
        response = await threads.call(_refused, visit, e)
    else:
        response = await enter(visit, cookie, pending.target) if cookie else visit.redirect(PAGE)
    delete_cookie(request, response, COOKIE)  # a pending sign-in is good for one answer
    return response


def _arrive(visit: Visit, pending: Pending, caller: Caller) -> str:
    """The cookie of a new session; empty after linking."""
    oidc, request = _configured(visit.request), visit.request
    with attempt_from(visit.house, sign_in_limits(request), WAY, caller):
        claims = claims_of_answer(
            oidc.provider, oidc.client, pending, request.query_params, _redirect_uri(request)
        )
        person = admitted(claims, oidc.admission)
    identity = Identity(oidc.provider.issuer, **asdict(person))
    if not pending.linking:
        return sign_in_by_provider(
            visit.house, identity, caller, creates_accounts=oidc.creates_accounts
        )
    require_owner(visit)
    if visit.actor.name != pending.linking:
        raise ForbiddenError("you are signed in as somebody else now; start again")
    link_identity(visit.house, visit.actor, identity)
    return ""


def _refused(visit: Visit, error: CairnError) -> Response:
    text = str(error)
    status, _ = status_and_code(error)
    return login_form(visit, "", f"{text[:1].upper()}{text[1:]}.", status)


async def _unlink(request: Request) -> Response:
    posting = await posted_by_owner(request)
    visit, issuer, subject = posting.visit, posting.field("issuer"), posting.field("subject")
    await threads.call(unlink_identity, visit.house, visit.actor, issuer, subject)
    return visit.redirect(PAGE)


def _pending(request: Request) -> Pending:
    value = cookie_of(request, COOKIE)
    try:
        claims = _signer(request).check_token(_PURPOSE, value)
    except UnauthenticatedError:
        raise UnauthenticatedError(
            "this sign-in took too long or began elsewhere; start again"
        ) from None
    return Pending(**{name: str(claims[name]) for name in Pending.__slots__})


def _configured(request: Request) -> Oidc:
    found = oidc_of(request)
    if found is None:
        raise NotFoundError("this hub has no OpenID provider")
    return found


def _redirect_uri(request: Request) -> str:
    return f"{base_url(request)}{CALLBACK}"


def _signer(request: Request) -> Signer:
    signer: Signer = request.app.state.signer
    return signer


routes: list[BaseRoute] = [
    RawRoute("/login/oidc", endpoint(_start)),
    RawRoute(CALLBACK, _callback),
    RawRoute(f"{PAGE}/link", endpoint(_start_linking)),
    RawRoute(f"{PAGE}/unlink", _unlink, ("POST",)),
]
