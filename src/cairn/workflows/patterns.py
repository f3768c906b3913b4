"""Git's path patterns, as in `.gitignore` and `.gitattributes` (gitignore(5)).

A pattern is matched segment by segment, without backtracking, and every comparison is
paid for from a budget: hostile patterns and paths run into `LimitError`, not into time.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from cairn.errors import LimitError

MAX_PATTERN_CHARS = 1024
MAX_PATTERNS = 5000  # GitHub's longest published .gitignore templates have a few hundred
_STARS = re.compile(r"\A\*{3,}\Z")
MAX_STEPS = 3_000_000  # about two seconds; 256 files against 400 patterns take 0.3 million


class Budget:
    """How many comparisons may still be made."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Take some.

        Raises:
            LimitError: there are not so many left.
        """
        self._left -= steps
        if self._left < 0:
            raise LimitError(
                "too many patterns for so many paths", source="gitignore or gitattributes"
            )


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: its segments, whether it is anchored to the root, for folders only, negated."""

    segments: tuple[str, ...]
    anchored: bool
    folders_only: bool
    negated: bool

    def matches(self, path: str, budget: Budget, *, is_folder: bool) -> bool:
        """Whether the pattern names this very path (not something below it)."""
        budget.spend(1)
        if self.folders_only and not is_folder:
            return False
        parts = path.split("/")
        if not self.anchored:
            return _segment_matches(self.segments[0], parts[-1])
        return _segments_match(self.segments, parts, budget)


def parse_pattern(text: str) -> Pattern | None:
    """The pattern in a line without its newline; None for blanks, comments and overlong lines."""
    line = text.rstrip()
    if not line or line.startswith("#") or len(line) > MAX_PATTERN_CHARS:
        return None
    negated = line.startswith("!")
    line = line[1:] if negated else line
    folders_only = line.endswith("/")
    body = line.rstrip("/")
    if not body:
        return None
    # Any run of two or more stars between slashes is `**` to git (wildmatch.c).
    segments = [_STARS.sub("**", part) for part in body.split("/") if part]
    if segments[-1] == "**":  # "a/**" is everything below a, not a itself
        segments.append("*")
    return Pattern(tuple(segments), "/" in body, folders_only, negated)


class IgnoreRules:
    """The lines of a `.gitignore`: the last one that matches decides."""

    def __init__(self, text: str, budget: Budget) -> None:
        found = (parse_pattern(line) for line in text.splitlines()[:MAX_PATTERNS])
        self._patterns = [pattern for pattern in found if pattern is not None]
        self._budget = budget
        self._folders: dict[str, bool] = {}

    def ignores(self, path: str) -> bool:
        """Whether a file is ignored, by itself or because a folder above it is."""
        folder, slash, _ = path.rpartition("/")
        return (bool(slash) and self._ignores_folder(folder)) or self._decides(
            path, is_folder=False
        )

    def _ignores_folder(self, path: str) -> bool:
        known = -1
        parts = path.split("/")
        names = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        self._budget.spend(1 + len(names) * len(path) // 16)  # their text is kept, too
        for at, name in enumerate(names):
            if name in self._folders:
                known = at
        ignored = known >= 0 and self._folders[names[known]]
        for name in names[known + 1 :]:
            ignored = ignored or self._decides(name, is_folder=True)
            self._folders[name] = ignored
        return ignored

    def _decides(self, path: str, *, is_folder: bool) -> bool:
        for pattern in reversed(self._patterns):
            if pattern.matches(path, self._budget, is_folder=is_folder):
                return not pattern.negated
        return False


def _segments_match(patterns: tuple[str, ...], parts: list[str], budget: Budget) -> bool:
    """Match where `**` takes any number of segments: which prefixes of `parts` are reached."""
    reached = {0}
    for pattern in patterns:
        if not reached:
            return False
        budget.spend(len(reached))
        if pattern == "**":
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {
                at + 1 for at in reached if at < len(parts) and _segment_matches(pattern, parts[at])
            }
    return len(parts) in reached


def _segment_matches(pattern: str, name: str) -> bool:
    if _SPECIAL.isdisjoint(pattern):
        return pattern == name
    compiled = _compiled(pattern)
    return compiled is not None and compiled.match(name) is not None


_SPECIAL = frozenset("*?[\\")
_CLASS = re.compile(r"\[(?P<not>[!^]?)(?P<body>\]?(?:\\.|[^\]\\])*)\]", re.DOTALL)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """A segment as an expression; None for one that can match nothing.

    What stands between two `*` is found once, leftmost, and never tried again (atomic
    groups): leftmost is as good as any other place, and time stays linear per star.
    """
    pieces, current, at = [], "", 0
    while at < len(pattern):
        piece, width = _one(pattern, at)
        if piece is None:
            return None
        if piece == "*":
            pieces.append(current)
            current = ""
        else:
            current += piece
        at += width
    if not pieces:
        return re.compile(f"{current}\\Z", re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:] if piece)
    return re.compile(f"{pieces[0]}{middle}.*{current}\\Z", re.DOTALL)


def _one(pattern: str, at: int) -> tuple[str | None, int]:
    """The expression for the next element of a segment (`*` for a star) and its width."""
    character = pattern[at]
    if character == "*":
        return "*", 1
    if character == "?":
        return ".", 1
    if character == "\\":
        return (re.escape(pattern[at + 1]), 2) if at + 1 < len(pattern) else (None, 1)
    if character == "[":
        found = _CLASS.match(pattern, at)
        return (_set(found), found.end() - at) if found else (None, 1)
    return re.escape(character), 1


def _set(found: re.Match[str]) -> str | None:
    """A bracket expression; None if its ranges run backwards."""
    body = re.sub(r"\\(.)", lambda m: re.escape(m[1]), found["body"])
    body = (
        body.replace("[", "\\[").replace("&&", "&\\&").replace("||", "|\\|").replace("~~", "~\\~")
    )
    body = "\\" + body if body.startswith(("]", "^")) else body
    expression = f"[{'^' if found['not'] else ''}{body}]"
    try:
        re.compile(expression)
    except re.error:
        return None
    return expression
