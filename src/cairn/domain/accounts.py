"""Who acts: users, organisations, and what a caller may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Scope(Enum):
    """What a token may be used for."""

    READ = "read"
    WRITE = "write"


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


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever makes a request: nobody, or a user with a token's scope."""

    account: Account | None = None
    scope: Scope = Scope.READ
    token_name: str = ""
    organisations: Mapping[str, OrgRole] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The user's name, or `anonymous`."""
        return self.account.name if self.account else "anonymous"

    def may_read_private(self, namespace: str) -> bool:
        """Whether private repos of `namespace` are visible."""
        if self.account is None:
            return False
        return (
            self.account.is_admin
            or self.account.name.lower() == namespace.lower()
            or self._role(namespace) is not None
        )

    def may_write(self, namespace: str) -> bool:
        """Whether repos of `namespace` may be created and changed."""
        if self.account is None or self.scope is not Scope.WRITE:
            return False
        return (
            self.account.is_admin
            or self.account.name.lower() == namespace.lower()
            or self._role(namespace) in (OrgRole.WRITE, OrgRole.ADMIN, OrgRole.CONTRIBUTOR)
        )

    def _role(self, namespace: str) -> OrgRole | None:
        for name, role in self.organisations.items():
            if name.lower() == namespace.lower():
                return role
        return None


ANONYMOUS = Actor()
