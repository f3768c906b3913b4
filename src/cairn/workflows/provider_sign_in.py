"""Signs in whoever an OpenID provider vouches for; the first time makes or links an account."""

from dataclasses import dataclass

from cairn.domain import Account, Actor
from cairn.errors import ConflictError, ForbiddenError, NamingError
from cairn.workflows.house import House
from cairn.workflows.sign_in import Caller, require_proof

WAY = "oidc"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as a provider knows them: `subject` is who they are, the rest names they have."""

    issuer: str
    subject: str
    user_name: str
    full_name: str
    email: str

    @property
    def shown_name(self) -> str:
        """What a person recognises the identity by."""
        return self.email or self.user_name or self.subject


def sign_in_by_provider(
    house: House, identity: Identity, caller: Caller, *, creates_accounts: bool
) -> str:
    """The cookie of a new session of whoever the identity is linked to.

    An identity that is linked to nobody gets an account of its own name, or none: never one that
    is there, whatever name or address the provider says.

    Raises:
        ForbiddenError: there is no account for it, with what to do.
    """
    name = house.catalog.identities.owner(identity.issuer, identity.subject)
    if name is None:
        if not creates_accounts:
            raise ForbiddenError(
                "nobody here is linked to this identity: sign in another way and link it on the"
                " page of your account, or ask an administrator"
            )
        name = _create(house, identity)
    return house.catalog.sessions.start(name, WAY, address=caller.address, agent=caller.agent)


def _create(house: House, identity: Identity) -> str:
    name = identity.user_name.partition("@")[0]
    account = Account(name, identity.full_name or name, email=identity.email or None)
    try:
        house.catalog.identities.create_user(
            account, identity.issuer, identity.subject, identity.shown_name
        )
    except ConflictError:
        raise ForbiddenError(
            f"the name {name[:96]!r} is taken here; if it is yours, sign in another way and link"
            " this identity on the page of your account"
        ) from None
    except NamingError:
        raise ForbiddenError(
            f"the provider calls you {name[:96]!r}, which is no name here: ask an administrator"
            " for an account, then link this identity on its page"
        ) from None
    return name


def link_identity(house: House, actor: Actor, identity: Identity) -> None:
    """Let an identity sign in as the person who is signed in.

    Raises:
        ForbiddenError: they are signed in with a token, which proves less.
        ConflictError: the identity is linked to somebody.
    """
    require_proof(house, actor)
    house.catalog.identities.link(
        actor.name, identity.issuer, identity.subject, identity.shown_name, by=actor
    )


def unlink_identity(house: House, actor: Actor, issuer: str, subject: str) -> None:
    """End a link, unless nothing but tokens would be left to sign in with.

    Raises:
        ForbiddenError: the person has no password and no other identity.
        NotFoundError: they have no such identity.
    """
    require_proof(house, actor)
    held = {(each.issuer, each.subject) for each in house.catalog.identities.list(actor.name)}
    if held == {(issuer, subject)} and not house.catalog.passwords.exists(actor.name):
        raise ForbiddenError("choose a password before you end the only other way to sign in")
    house.catalog.identities.unlink(actor.name, issuer, subject, by=actor)
