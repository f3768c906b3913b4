"""What a Xet access token permits: one repo, to read or to write, for an hour.

The token is a signed blob (`hub.signing`), opaque to clients. It names the repo by its uid
and not the scope in the URL: a client keeps the casUrl of its first token for a whole
upload and takes only token and expiry from a refresh (xet-core,
`xet_client/src/cas_client/auth.rs`, `TokenRefresher`), so a token issued after an epoch
ended must still serve the URL of the epoch in which the upload began.
"""

from dataclasses import dataclass
from enum import Enum

from cairn.domain import RepoId, RepoType
from cairn.errors import ForbiddenError, UnauthenticatedError
from cairn.hub.signing import Signer

# The client refreshes 30 s before expiry (REFRESH_BUFFER_SEC in auth.rs).
TOKEN_TTL_S = 3600
_PURPOSE = "xet"


class Access(Enum):
    """What a token is for; WRITE includes READ."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may do what with the staged data of one repo.

    `is_narrow`: they came with a fine-grained token, so their rights elsewhere do not count here.
    """

    access: Access
    repo_uid: str
    repo_id: RepoId
    actor: str
    is_narrow: bool = False


def issue(signer: Signer, grant: Grant, now_s: float) -> tuple[str, int]:
    """A token for `grant` and when it expires, in Unix seconds."""
    expires_at = int(now_s) + TOKEN_TTL_S
    claims = {
        "access": grant.access.value,
        "uid": grant.repo_uid,
        "type": grant.repo_id.type.value,
        "repo": grant.repo_id.full_name,
        "actor": grant.actor,
        "narrow": int(grant.is_narrow),
    }
    return signer.token(_PURPOSE, claims, expires_at), expires_at


def check(signer: Signer, authorization: str | None, needed: Access) -> Grant:
    """The grant in an `Authorization: Bearer <token>` header.

    Raises:
        UnauthenticatedError: no header, not a token of ours, or it has expired.
        ForbiddenError: a read token where writing is needed.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("send the Xet access token as 'Authorization: Bearer ...'")
    claims = signer.check_token(_PURPOSE, token.strip())
    repo_id = RepoId.parse(RepoType(claims["type"]), str(claims["repo"]))
    grant = Grant(
        Access(claims["access"]),
        str(claims["uid"]),
        repo_id,
        str(claims["actor"]),
        bool(claims.get("narrow")),
    )
    if needed is Access.WRITE and grant.access is not Access.WRITE:
        raise ForbiddenError("this Xet token only permits reading; ask for a write token")
    return grant
