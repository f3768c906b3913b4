"""Every error Cairn raises on purpose, in one tree split by who must act.

    CairnError
    ├── RequestError            the caller asked for something that makes no sense
    │   └── NamingError         a name, path or revision breaks the naming rules
    ├── UnauthenticatedError    no credentials, or credentials nobody knows
    ├── ForbiddenError          known caller, not allowed
    │   ├── GatedError          access to the repo must be requested first
    │   ├── BlockedError        the content is withheld (quarantine, takedown)
    │   └── QuotaError          the namespace has no room for it
    ├── NotFoundError
    │   ├── RepoNotFoundError
    │   ├── RevisionNotFoundError
    │   ├── EntryNotFoundError
    │   └── BlobNotFoundError
    ├── ConflictError           the world changed, or the thing exists already
    │   ├── StaleParentError    a ref moved since the caller last looked
    │   └── InexactError        a training run would not go on bit for bit
    ├── UntrustedDataError      bytes from outside that cannot be accepted
    │   ├── MalformedError      they break their own format's rules
    │   │   └── TrailingBytesError  they go on where the format ends
    │   ├── LimitError          they exceed a cap of ours
    │   └── UnknownFormatError  no reader recognises them
    ├── ThrottledError          too many requests: wait, then try again
    ├── IntegrityError          stored or sent bytes do not match their digest
    ├── UnavailableError        try again later
    └── MissingExtraError       an optional dependency is not installed

HTTP status, Hugging Face error code and exit code are looked up at the edges
(`cairn.hub.errors`, `cairn.cli.errors`), never stored here. A message says
what, where and what to do.
"""


class CairnError(Exception):
    """The root; catching it catches everything Cairn raises on purpose."""


class RequestError(CairnError):
    """The caller asked for something that makes no sense."""


class NamingError(RequestError):
    """A name, path or revision breaks the naming rules."""


class UnauthenticatedError(CairnError):
    """No credentials were given, or nobody knows them."""


class ForbiddenError(CairnError):
    """The caller is known and not allowed to do this."""


class GatedError(ForbiddenError):
    """Access to the repo must be requested from its owner first.

    `page` is the hub's path where that is done, without a slash before it; empty where asking
    would not help.
    """

    def __init__(self, message: str, *, page: str = "") -> None:
        super().__init__(message)
        self.page = page


class BlockedError(ForbiddenError):
    """The content is withheld by a policy decision."""


class QuotaError(ForbiddenError):
    """The namespace has no room for these bytes."""


class NotFoundError(CairnError):
    """The thing asked for does not exist, or the caller may not know that it does."""


class RepoNotFoundError(NotFoundError):
    """No such repo for this caller."""


class RevisionNotFoundError(NotFoundError):
    """The repo exists; the branch, tag or commit does not."""


class EntryNotFoundError(NotFoundError):
    """Repo and revision exist; the path does not.

    `commit` is the resolved commit id where it is known: HF clients cache the
    absence of a file only when the answer names the commit.
    """

    def __init__(self, message: str, *, commit: str | None = None) -> None:
        super().__init__(message)
        self.commit = commit


class BlobNotFoundError(NotFoundError):
    """The store holds no blob under this digest."""


class ConflictError(CairnError):
    """The thing exists already, or changed under the caller."""


class StaleParentError(ConflictError):
    """A ref no longer points where the caller believed it did."""


class InexactError(ConflictError):
    """A training run would not go on bit for bit: `differences` says why, one by one."""

    def __init__(self, message: str, differences: tuple[str, ...]) -> None:
        super().__init__(message)
        self.differences = differences


class UntrustedDataError(CairnError):
    """Bytes from outside cannot be accepted: where and why."""

    def __init__(
        self, what: str, *, source: str = "", offset: int | None = None, hint: str = ""
    ) -> None:
        place = source if offset is None else f"{source or 'input'} at byte {offset}"
        parts = [f"{place}: {what}" if place else what]
        if hint:
            parts.append(hint)
        super().__init__(". ".join(parts))
        self.what = what
        self.source = source
        self.offset = offset


class MalformedError(UntrustedDataError):
    """The bytes break the rules of their own format."""


class TrailingBytesError(MalformedError):
    """The format ends at `offset`, the bytes go on."""


class LimitError(UntrustedDataError):
    """The bytes ask for more than a cap in `limits.py` allows."""


class UnknownFormatError(UntrustedDataError):
    """No reader recognises the bytes."""


class IntegrityError(CairnError):
    """Bytes do not match the digest they are kept or sent under."""


class ThrottledError(CairnError):
    """The caller asks too often: after `retry_after_s` seconds it may again."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(CairnError):
    """The service cannot do this now and may be able to later."""


class MissingExtraError(CairnError):
    """An optional dependency is needed: the message names the extra to install."""
