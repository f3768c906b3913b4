"""Names of files and addresses as text: what they end in, and whether they lead elsewhere."""

from functools import lru_cache
from re import compile as pattern
from urllib.parse import unquote

from cairn.domain import Source

_SCHEME = pattern(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = pattern(r"[A-Za-z]:(?![\w-])|[A-Za-z]:[\\/]")


def base_name(source: Source) -> str:
    """The last part of a source's name, in lower case."""
    return _base_of(source.name)


@lru_cache(maxsize=16)  # every extractor asks
def _base_of(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].rpartition("!")[2].lower()


def climbs(target: str) -> bool:
    """Whether a path has a step up, or bytes that cut it short, however they are spelled."""
    plain = unquote(unquote(target)).replace("\\", "/")
    return ".." in plain.split("/") or "\0" in plain


def is_absolute(target: str) -> bool:
    """Whether a path begins at a root, a drive, a share or a home."""
    plain = unquote(target)
    return plain.startswith(("/", "\\", "~/", "~\\")) or bool(_DRIVE.match(plain))


def is_share(target: str) -> bool:
    """Whether a path is on another machine, to which Windows then shows who the user is."""
    return target.startswith(("\\\\", "//"))


def is_address(target: str) -> bool:
    """Whether it is a URL rather than a path."""
    return bool(_SCHEME.match(target)) or target.startswith("file:")


def leads_elsewhere(target: str) -> bool:
    """Whether a path does not stay in its own folder."""
    return climbs(target) or is_absolute(target) or is_address(target)
