"""How long sessions last and how long passwords are: what signing in is governed by."""

from dataclasses import dataclass

DAY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SignInRules:
    """A session ends `session_idle_s` after its last use, and `session_max_s` after it began.

    `password_min_characters`: NIST SP 800-63B asks for 8, and in its fourth revision for 15
    where nothing but the password is asked for.
    """

    session_idle_s: float = 3 * DAY_S
    session_max_s: float = 14 * DAY_S
    password_min_characters: int = 8
