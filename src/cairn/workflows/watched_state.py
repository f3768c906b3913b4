"""What is remembered of a watched folder between runs: evidence by content, content by stamp.

A JSON file, replaced as a whole: a kill leaves the old or the new. `evidence` is what extractors
noted, under the file's name and SHA-256, or its stamp where it was too large to hash; `seen` are
the paths of the last round, each with the key of its evidence and the verdict on it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cairn.domain import Verdict
from cairn.errors import ConflictError, UnavailableError
from cairn.workflows.watched_folder import Stamp, WatchedFile

FORM = 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """How a path stood in the last round: `key` names its evidence, empty if it has none."""

    verdict: Verdict
    key: str = ""


@dataclass(slots=True)
class WatchedState:
    """What is known of one folder. `digests` are those of stamps that were hashed.

    `rules` judged all of it in the last whole look.
    """

    extraction: str = ""
    rules: str = ""
    seen: dict[str, Seen] = field(default_factory=dict)
    evidence: dict[str, list[Json]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def forget_others(self, stamps: set[str]) -> None:
        """Drop what belongs to nothing that is there any more."""
        self.digests = {key: value for key, value in self.digests.items() if key in stamps}
        used = {one.key for one in self.seen.values()}
        self.evidence = {key: value for key, value in self.evidence.items() if key in used}


def stamp_text(stamp: Stamp) -> str:
    """A stamp as a key."""
    return "-".join(map(str, stamp))


def evidence_key(file: WatchedFile, digest: str | None) -> str:
    """Under what the evidence of a file is kept: loaders go by its name as well as its bytes."""
    return f"{digest or stamp_text(file.stamp)}/{file.name}"


class StateFile:
    """Where the state of a folder is kept: one file below `states` for each folder."""

    def __init__(self, states: Path, root: Path) -> None:
        self._root = os.path.realpath(root)
        name = sha256(os.fsencode(self._root)).hexdigest()[:24]
        self._path = states / f"{name}.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from watching the same folder meanwhile.

        Raises:
            ConflictError: somebody does already.
            UnavailableError: nothing can be kept there.
        """
        import fcntl

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise ConflictError(f"{self._root} is monitored by another process") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def load(self, extraction: str) -> WatchedState:
        """What was kept; evidence only if these extractors noted it. Damage is forgetfulness."""
        try:
            told = json.loads(self._path.read_bytes())
            if told["form"] != FORM:
                return WatchedState(extraction)
            seen = {
                path: Seen(Verdict(verdict), key) for path, (verdict, key) in told["seen"].items()
            }
            if told["extraction"] != extraction:
                return WatchedState(extraction, "", seen)
            evidence, digests = dict(told["evidence"]), dict(told["digests"])
            return WatchedState(extraction, str(told["rules"]), seen, evidence, digests)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return WatchedState(extraction)

    def save(self, state: WatchedState) -> None:
        """Keep a state in place of the one before.

        Raises:
            UnavailableError: it cannot be written.
        """
        told = {
            "form": FORM,
            "root": self._root.encode("utf-8", "backslashreplace").decode(),
            "extraction": state.extraction,
            "rules": state.rules,
            "seen": {path: [one.verdict.value, one.key] for path, one in state.seen.items()},
            "evidence": state.evidence,
            "digests": state.digests,
        }
        draft = self._path.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(told, separators=(",", ":")))
            draft.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{path.parent} cannot be written: {error.strerror}")
