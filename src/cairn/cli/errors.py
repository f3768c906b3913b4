"""Which exit code each kind of error ends a command with.

0  success
1  the check the command makes failed, or an unexpected error
2  the command line or a setting makes no sense
3  not found
4  conflict: exists already, or changed meanwhile
5  not allowed
6  the input cannot be trusted: malformed, over a limit, or of unknown format
7  integrity: bytes do not match their digest
8  unavailable: try again later
9  an optional dependency is missing
"""

from cairn.errors import (
    CairnError,
    ConflictError,
    ForbiddenError,
    IntegrityError,
    MissingExtraError,
    NotFoundError,
    RequestError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UntrustedDataError,
)

EXIT_CODES: tuple[tuple[type[CairnError], int], ...] = (
    (RequestError, 2),
    (NotFoundError, 3),
    (ConflictError, 4),
    (UnauthenticatedError, 5),
    (ForbiddenError, 5),
    (UntrustedDataError, 6),
    (IntegrityError, 7),
    (ThrottledError, 8),
    (UnavailableError, 8),
    (MissingExtraError, 9),
)


def exit_code(error: CairnError) -> int:
    """The exit code for an error; 1 for kinds without one of their own."""
    for kind, code in EXIT_CODES:
        if isinstance(error, kind):
            return code
    return 1
