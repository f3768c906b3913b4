"""Who acts: users, organisations, and what a caller may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from cairn.domain.repos import RepoId, RepoType, check_name
from cairn.errors import NamingError


class Scope(Enum):
    """What a token may be used for (names as on the HF hub); a fine-grained one lists it."""

    READ = "read"
    WRITE = "write"
    FINE_GRAINED = "fineGrained"


class OrgRole(Enum):
    """A member's standing in an organisation, weakest first (names as on the HF hub)."""

    READ = "read"
    CONTRIBUTOR = "contributor"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Account:
    """A namespace owner: a person or an organisation."""

    name: str
    full_name: str
    is_org: bool = False
    is_admin: bool = False
    email: str | None = None


class Permission(Enum):
    """What may be done with a repo, weakest first; each includes those before it.

    ADMIN is to delete it and to change who sees it.
    """

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: "Permission") -> bool:
        """Whether whoever has this one has the other."""
        order = list(Permission)
        return order.index(other) <= order.index(self)


class AccessState(Enum):
    """How a person stands who asked to read the files of a gated repo (names as on the HF hub)."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a fine-grained token may do: in a whole namespace, or with one repo of it.

    It takes nothing away from what its holder may do anyway as nobody, and adds nothing to what
    its owner may do.
    """

    permission: Permission
    namespace: str
    repo: RepoId | None = None

    @classmethod
    def parse(cls, text: str) -> "Grant":
        """From `write:lab`, `read:ann/model` or `admin:datasets/ann/set`.

        Raises:
            NamingError: it is not of this form, or a name breaks the rules.
        """
        permission, colon, where = text.strip().partition(":")
        known = {each.value: each for each in Permission}
        if not colon or permission not in known:
            raise NamingError(
                f"{text[:200]!r} is no grant: write read, write or admin, a colon, and a namespace"
                " or a repo, as in 'write:lab' or 'read:datasets/ann/set'"
            )
        if "/" not in where:
            return cls(known[permission], check_name(where, "namespace"))
        kind, _, rest = where.partition("/")
        kinds = {each.url_prefix.rstrip("/"): each for each in RepoType if each.url_prefix}
        repo = RepoId.parse(kinds.get(kind, RepoType.MODEL), rest if kind in kinds else where)
        return cls(known[permission], repo.namespace, repo)

    def __str__(self) -> str:
        return f"{self.permission.value}:{self.repo or self.namespace}"

    def covers(self, where: "RepoId | str") -> bool:
        """Whether it is about this repo, or this namespace as a whole."""
        if self.repo is not None:
            return isinstance(where, RepoId) and str(self.repo).lower() == str(where).lower()
        return self.namespace.lower() == _namespace_of(where).lower()


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever makes a request: nobody, or a user with a token's scope.

    `grants` are those of a fine-grained token. Where a method takes `where`, that is a repo, or
    the name of a namespace for all that is and will be in it.
    """

    account: Account | None = None
    scope: Scope = Scope.READ
    token_name: str = ""
    organisations: Mapping[str, OrgRole] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()

    @property
    def name(self) -> str:
        """The user's name, or `anonymous`."""
        return self.account.name if self.account else "anonymous"

    @property
    def is_admin(self) -> bool:
        """Whether they may see all there is on the hub."""
        return self.account is not None and self.account.is_admin and self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether nothing but their own rights limits what they may see."""
        return self.scope is not Scope.FINE_GRAINED

    def reaches(self, where: RepoId | str) -> bool:
        """Whether what they come with is for reading there; what they may there is not asked."""
        return self._is_granted(where, Permission.READ)

    def may_read_private(self, where: RepoId | str) -> bool:
        """Whether private repos are visible."""
        if self.account is None or not self.reaches(where):
            return False
        namespace = _namespace_of(where)
        return self._rules(namespace) or self._role(namespace) is not None

    def may_write(self, where: RepoId | str) -> bool:
        """Whether repos may be changed and, in a namespace, created."""
        return self._may_change(where, Permission.WRITE)

    def may_administer(self, where: RepoId | str) -> bool:
        """Whether repos may be deleted, and shown to others or hidden."""
        return self._may_change(where, Permission.ADMIN)

    def _may_change(self, where: RepoId | str, permission: Permission) -> bool:
        if self.scope is Scope.READ or not self._is_granted(where, permission):
            return False
        namespace = _namespace_of(where)
        writers = (OrgRole.WRITE, OrgRole.ADMIN, OrgRole.CONTRIBUTOR)
        return self._rules(namespace) or self._role(namespace) in writers

    def _is_granted(self, where: RepoId | str, permission: Permission) -> bool:
        return self.is_whole or any(
            grant.covers(where) and grant.permission.includes(permission) for grant in self.grants
        )

    def _rules(self, namespace: str) -> bool:
        """Whether all in a namespace is theirs by themselves: their own, or they are admin."""
        account = self.account
        return account is not None and (
            account.is_admin or account.name.lower() == namespace.lower()
        )

    def _role(self, namespace: str) -> OrgRole | None:
        if self.account is None:
            return None
        for name, role in self.organisations.items():
            if name.lower() == namespace.lower():
                return role
        return None


def _namespace_of(where: RepoId | str) -> str:
    return where.namespace if isinstance(where, RepoId) else where


ANONYMOUS = Actor()
