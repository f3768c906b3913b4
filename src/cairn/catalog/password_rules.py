"""Which passwords are taken: long enough, and not among those that are guessed first.

NIST SP 800-63B, section 5.1.1.2 (https://pages.nist.gov/800-63-3/sp800-63b.html): a least length,
a comparison with common, expected and repetitive ones, room for long ones, and no rules about
kinds of characters.
"""

import unicodedata
from collections.abc import Iterable

from cairn.errors import RequestError

MAX_CHARACTERS = 256  # the rule asks for 64 at least; a bound keeps a request cheap
# zxcvbn orders guesses as attackers do: lists of leaked passwords, names, dates, keyboard walks.
# A million are tried in no time wherever hashes leak; online they are far beyond our limits.
COMMON_GUESSES = 1_000_000
_ESTIMATED_CHARACTERS = 72  # what zxcvbn looks at by itself: its time grows faster than length
_EXPECTED_HERE = ("cairn", "hub", "checkpoint", "huggingface")


def check_password(password: str, min_characters: int, known: Iterable[str] = ()) -> None:
    """Refuse a password that is too short, too long or easily guessed.

    `known` are words an attacker would try first: names and addresses of the person.

    Raises:
        RequestError: with the reason, in words for the person who chose it.
    """
    length = len(unicodedata.normalize("NFKC", password))
    if length < min_characters:
        raise RequestError(f"a password has at least {min_characters} characters")
    if length > MAX_CHARACTERS:
        raise RequestError(f"a password has at most {MAX_CHARACTERS} characters")
    if _guesses(password, [*_EXPECTED_HERE, *known]) < COMMON_GUESSES:
        raise RequestError(
            "this password is among the first that are tried: it is common, close to your name,"
            " or a simple pattern; choose another one"
        )


def _guesses(password: str, words: list[str]) -> float:
    # Here, because its lists take 0.2 s to load.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]

    found = zxcvbn(password[:_ESTIMATED_CHARACTERS], user_inputs=[w for w in words if w])
    return float(found["guesses"])
