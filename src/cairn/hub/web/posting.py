"""A form that a person sent: the one way to a page that changes something.

Every POST of a page goes through `posted`: the request came from our own page, the form carries
the token of this browser's cookie, and only then it is asked who sends it. Scripts that send an
access token in a header need neither.
"""

from dataclasses import dataclass

from starlette.requests import Request

from cairn.config import Settings
from cairn.domain import RepoId, RepoType, Scope
from cairn.errors import ForbiddenError, NamingError, RepoNotFoundError
from cairn.hub.csrf import check_csrf
from cairn.hub.identity import caller_of, check_same_origin, house_of, visitor_of
from cairn.hub.web.forms import read_form
from cairn.hub.web.visit import Visit
from cairn.workflows.sign_in import Caller, SignInLimits


@dataclass(frozen=True)
class Posting:
    """The form, the visit it belongs to, and whence it came."""

    visit: Visit
    form: dict[str, str]
    caller: Caller

    def field(self, name: str) -> str:
        """A field without blanks around it, empty if there is none."""
        return self.form.get(name, "").strip()

    @property
    def repo_id(self) -> RepoId:
        """The repo that the URL names.

        Raises:
            RepoNotFoundError: no repo can have this name.
        """
        params = self.visit.request.path_params
        try:
            kind = RepoType.from_plural(params["kind"])
            return RepoId(kind, params["namespace"], params["name"])
        except NamingError as error:
            raise RepoNotFoundError(f"there is no such repo: {error}") from None

    @property
    def limits(self) -> SignInLimits:
        """How often signing in may fail on this hub."""
        return sign_in_limits(self.visit.request)


def sign_in_limits(request: Request) -> SignInLimits:
    """How often signing in may fail on this hub."""
    settings: Settings = request.app.state.settings
    return SignInLimits(settings.sign_in_account_attempts, settings.sign_in_address_attempts)


async def posted(request: Request) -> Posting:
    """The form of a request, read and checked.

    Raises:
        ForbiddenError: it was not sent from a page of ours, by the browser the page was made for.
        RequestError, LimitError: it is no form, or too large.
    """
    by_header = _is_bearer(request)
    if not by_header:
        check_same_origin(request)
    form = await read_form(request)
    if not by_header:
        check_csrf(request, form)
    visit = Visit(request, house_of(request), await visitor_of(request))
    return Posting(visit, form, caller_of(request))


def _is_bearer(request: Request) -> bool:
    """Whether a token in a header says who asks: no page can make a browser send that.

    Passwords in a Basic header are another matter: browsers remember those and send them along.
    """
    return request.headers.get("authorization", "").strip().lower().startswith("bearer ")


async def posted_by_owner(request: Request) -> Posting:
    """The same, from somebody who may change their own account.

    Raises:
        ForbiddenError: as for `posted`, or nobody is signed in, or with less than write rights.
    """
    posting = await posted(request)
    require_owner(posting.visit)
    return posting


def require_owner(visit: Visit) -> None:
    """A token that may not write must not be a way to rights that may.

    Raises:
        ForbiddenError: nobody is signed in, or with less than write rights.
    """
    if visit.actor.account is None:
        raise ForbiddenError("sign in first")
    if visit.actor.scope is not Scope.WRITE:
        raise ForbiddenError("sign in with your password or a write token to change your account")
