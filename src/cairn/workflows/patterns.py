"""Git's path patterns, as in `.gitignore` and `.gitattributes` (gitignore(5)).

A pattern is matched segment by segment, without backtracking, and every comparison is
paid for from a budget: hostile patterns and paths run into `LimitError`, not into time.
"""

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from cairn.errors import LimitError

MAX_PATTERN_CHARS = 1024
MAX_PATTERNS = 5000  # GitHub's longest published .gitignore templates have a few hundred
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
    line = line[1:] if negated else line.removeprefix("\\")
    folders_only = line.endswith("/")
    body = line.rstrip("/")
    if not body:
        return None
    segments = [part for part in body.split("/") if part]
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
    if "*" not in pattern and "?" not in pattern and "[" not in pattern:
        return pattern == name
    return _compiled(pattern).match(name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # fnmatch writes each `*` as an atomic group: no backtracking across stars.
    return re.compile(translate(re.sub(r"\*+", "*", pattern)))
