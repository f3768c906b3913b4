"""The reasons and appeals that people write: short, plain, kept for good."""

from cairn.errors import RequestError

MAX_REASON_CHARACTERS = 1000
MAX_APPEAL_CHARACTERS = 4000


def reason_of(text: str) -> str:
    """Why an administrator decides something.

    Raises:
        RequestError: there is none, or it is too long, or has control characters.
    """
    return _checked(text, MAX_REASON_CHARACTERS, "a reason")


def appeal_of(text: str) -> str:
    """What an owner says against a verdict; RequestError as for `reason_of`."""
    return _checked(text, MAX_APPEAL_CHARACTERS, "an appeal")


def optional_text(text: str, most: int, what: str) -> str:
    """What somebody may add, or nothing; RequestError as for `reason_of`, with these words."""
    return _checked(text, most, what) if text.strip() else ""


def _checked(text: str, most: int, what: str) -> str:
    lines = text.replace("\r\n", "\n").strip()
    if not 0 < len(lines) <= most:
        raise RequestError(f"{what} has 1 to {most} characters")
    if not all(line.isprintable() for line in lines.split("\n")):
        raise RequestError(f"{what} is plain text: letters, signs and line ends")
    return lines
