"""Opens a browser session for whoever proves who they are; counts and records those who fail."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cairn.catalog import Catalog
from cairn.domain import Account, Actor
from cairn.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from cairn.workflows.house import House

PASSWORD, TOKEN = "password", "token"
WINDOW_S = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Whence a request comes: an address and what the browser calls itself."""

    address: str
    agent: str = ""

    @property
    def network(self) -> str:
        """What counts as one address: of IPv6 the first 64 bits, which one customer is given."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How many attempts may fail in `WINDOW_S`, to one account and from one address."""

    per_account: int
    per_address: int


def sign_in_with_password(
    house: House, limits: SignInLimits, name: str, password: str, caller: Caller
) -> str:
    """The cookie of a new session of whoever has this name and password.

    Raises:
        UnauthenticatedError: nobody has; takes as long whether the name is known or not.
        ThrottledError: too many attempts failed lately.
    """
    account = prove(house, limits, name, password, caller)
    return house.catalog.sessions.start(
        account.name, PASSWORD, address=caller.address, agent=caller.agent
    )


def prove(house: House, limits: SignInLimits, name: str, password: str, caller: Caller) -> Account:
    """The account that a name and a password belong to; failures count and are recorded.

    Raises:
        UnauthenticatedError, ThrottledError: as for `sign_in_with_password`.
    """
    attempts = house.catalog.attempts
    account, network = f"account {name.lower()}", f"network {caller.network}"
    attempts.begin({account: limits.per_account, network: limits.per_address}, WINDOW_S)
    try:
        found = house.catalog.passwords.check(name, password)
    except UnauthenticatedError:
        _record_failure(house, _known(house.catalog, name), PASSWORD, caller)
        raise
    attempts.forget(account)
    attempts.take_back(network)
    return found


@contextmanager
def attempt_from(house: House, limits: SignInLimits, way: str, caller: Caller) -> Iterator[None]:
    """An attempt whose account is not known before it succeeds; failures count and are recorded.

    Raises:
        ThrottledError: too many from this address failed lately.
    """
    network = f"network {caller.network}"
    house.catalog.attempts.begin({network: limits.per_address}, WINDOW_S)
    try:
        yield
    except (UnauthenticatedError, ForbiddenError):
        _record_failure(house, "", way, caller)
        raise
    house.catalog.attempts.take_back(network)


def require_proof(house: House, actor: Actor) -> None:
    """Let through whoever proved that they are the person, and did not just hold a token.

    A token that got lost must not become a way to stay. Where nothing but tokens can open the
    account there is nothing better to ask for.

    Raises:
        ForbiddenError: they signed in with a token, and could have with something better.
    """
    catalog = house.catalog
    better = catalog.passwords.exists(actor.name) or catalog.identities.list(actor.name)
    if actor.token_name and better:
        raise ForbiddenError("sign in with your password or by your provider to change this")


def sign_in_with_token(house: House, limits: SignInLimits, token: str, caller: Caller) -> str:
    """The cookie of a new session that can do what this access token can.

    Raises:
        UnauthenticatedError: nobody has this token.
        ThrottledError: too many attempts failed lately.
    """
    with attempt_from(house, limits, TOKEN, caller):
        actor = house.catalog.tokens.actor(token)
    return house.catalog.sessions.start(
        actor.name, TOKEN, token_name=actor.token_name, address=caller.address, agent=caller.agent
    )


def change_password(
    house: House, limits: SignInLimits, actor: Actor, old: str, new: str, caller: Caller
) -> None:
    """Give a signed-in person another password; whoever has one proves it first.

    Raises:
        UnauthenticatedError: the old password is not theirs.
        ThrottledError: too many attempts failed lately.
        RequestError: the new one is not one to take.
    """
    if house.catalog.passwords.exists(actor.name):
        prove(house, limits, actor.name, old, caller)
    else:
        require_proof(house, actor)
    house.catalog.passwords.set(actor.name, new, by=actor)


def _known(catalog: Catalog, name: str) -> str:
    """The name if somebody has it. What nobody has may be a password in the wrong field."""
    try:
        return catalog.accounts.get(name).name
    except NotFoundError:
        return ""


def _record_failure(house: House, name: str, way: str, caller: Caller) -> None:
    detail = f"{way} of {name or 'nobody here'} from {caller.address}"
    house.catalog.audit.record(house.clock(), Actor(), "session.refuse", detail=detail)
