"""Where one repo's staged Xet data lives, for how long, and under which URL.

    casUrl   {base}/cas/e{epoch}-{tag}-{generation}
    staging  xet-e{epoch}-{tag}

`epoch` counts periods of `settings.xet_epoch_s`. `tag` is a keyed hash of the repo's uid.
Clients remember for three weeks what they uploaded, keyed by the casUrl string (xet-core,
`xet_data/src/processing/configurations.rs`, `compute_cache_path`), and leave it out next
time. So the URL differs between repos, and no client learns of another repo's chunks; and
it changes with the epoch, before staged data is dropped. The server never looks at
`generation`: it only makes clients forget, when staged data was lost before its time.
"""

import re
import secrets
from dataclasses import dataclass

from blake3 import blake3

from cairn.errors import ForbiddenError, NotFoundError
from cairn.hub.signing import Signer
from cairn.hub.xet.tokens import Grant
from cairn.store import Staging

TAG_CHARS = 16
# A scope is served in its own epoch and in the next, so an upload may always take one whole
# epoch; what it staged is at most two epochs old when last used.
EPOCHS_SERVED = 2
_MAX_GENERATIONS = 1000
_DISTRUST = "distrusts-blobs"

_SEGMENT = re.compile(r"e(?P<epoch>[0-9]{1,12})-(?P<tag>[A-Za-z0-9_-]{16})-(?P<gen>[0-9a-f]{12})\Z")
_GENERATION = re.compile(r"generation-[0-9]{4}-(?P<id>[0-9a-f]{12})\Z")


@dataclass(frozen=True, slots=True)
class Scope:
    """One repo in one epoch."""

    epoch: int
    tag: str

    @property
    def staging_name(self) -> str:
        """The name of its scratch space in the store."""
        return f"xet-e{self.epoch}-{self.tag}"


def tag_of(signer: Signer, repo_uid: str) -> str:
    """The keyed name of a repo: another hub, or this one after a wipe, has another."""
    return signer.name("xet-scope", repo_uid)[:TAG_CHARS]


def current(signer: Signer, repo_uid: str, now_s: float, epoch_s: float) -> Scope:
    """The scope that uploads to this repo begin in now."""
    return Scope(int(now_s // epoch_s), tag_of(signer, repo_uid))


def segment(scope: Scope, staging: Staging) -> str:
    """The URL segment for a scope, with its newest generation."""
    newest = _generations(scope, staging)
    found = _GENERATION.match(newest[-1]) if newest else None
    generation = found["id"] if found else renew(scope, staging)
    return f"e{scope.epoch}-{scope.tag}-{generation}"


def renew(scope: Scope, staging: Staging) -> str:
    """Begin a new generation: the next upload's client has forgotten what it sent before."""
    count = len(_generations(scope, staging))
    generation = secrets.token_hex(6)
    if count < _MAX_GENERATIONS:
        staging.put(scope.staging_name, f"generation-{count:04}-{generation}", [b"\n"])
    return generation


def distrust_blobs(scope: Scope, staging: Staging) -> None:
    """From now on nothing in this scope is made of blobs: one of them was damaged."""
    staging.put(scope.staging_name, _DISTRUST, [b"\n"])


def trusts_blobs(scope: Scope, staging: Staging) -> bool:
    """Whether files in this scope may be made of blobs that are here already."""
    return not staging.has(scope.staging_name, _DISTRUST)


def admitted(url_segment: str, signer: Signer, grant: Grant, now_s: float, epoch_s: float) -> Scope:
    """The scope a request's URL names, if its token is for it.

    Raises:
        NotFoundError: the segment is not one this hub makes.
        ForbiddenError: another repo's scope, or its time is over.
    """
    scope = _parse(url_segment)
    if scope.tag != tag_of(signer, grant.repo_uid):
        raise ForbiddenError(f"this Xet token is not for the scope {url_segment!r}")
    check_age(scope, now_s, epoch_s)
    return scope


def check_age(scope: Scope, now_s: float, epoch_s: float) -> None:
    """Refuse a scope whose staged data may be gone.

    Raises:
        ForbiddenError: it began too many epochs ago, or lies in the future.
    """
    now = int(now_s // epoch_s)
    # One epoch ahead: a replica's clock may be a little fast.
    if not now - EPOCHS_SERVED < scope.epoch <= now + 1:
        raise ForbiddenError("this upload began too long ago; start it again")


def lifetime(scope: Scope, epoch_s: float) -> tuple[int, int]:
    """When a scope begins and when it is no longer served, in Unix seconds."""
    return int(scope.epoch * epoch_s), int((scope.epoch + EPOCHS_SERVED) * epoch_s)


def chunk_key(signer: Signer, scope: Scope) -> bytes:
    """The 32 bytes under which chunks are named to the clients of a scope."""
    return blake3(signer.name("xet-chunks", scope.staging_name).encode()).digest()


def scope_of_url(url_segment: str) -> Scope:
    """The scope in the URL of signed data, where the signature stands for the token.

    Raises:
        NotFoundError: the segment is not one this hub makes.
    """
    return _parse(url_segment)


def _parse(url_segment: str) -> Scope:
    found = _SEGMENT.match(url_segment)
    if found is None:
        raise NotFoundError(f"no Xet scope {url_segment[:120]!r}")
    return Scope(int(found["epoch"]), found["tag"])


def _generations(scope: Scope, staging: Staging) -> list[str]:
    return sorted(n for n in staging.names(scope.staging_name) if _GENERATION.match(n))
