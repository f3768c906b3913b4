"""What is known of flaws in the programs that load checkpoints, and of files known to be bad."""

from dataclasses import dataclass

from cairn.domain.digests import Digest


@dataclass(frozen=True, slots=True)
class AffectedRange:
    """Releases of a loader with a flaw: from `introduced` on, "0" for all that came before.

    `fixed` is the first release without it; `last_affected` the last one with it, where the first
    without is not known. Both empty: no release is known to be without.
    """

    introduced: str
    fixed: str = ""
    last_affected: str = ""


@dataclass(frozen=True, slots=True)
class Advisory:
    """A published flaw in a loader: its id and other names for it, what it is, where it says so."""

    id: str
    loader: str
    summary: str
    ranges: tuple[AffectedRange, ...]
    aliases: tuple[str, ...] = ()
    source: str = ""
    modified: str = ""

    def __post_init__(self) -> None:
        if not self.id or not self.loader or not self.ranges:
            raise ValueError("an advisory has an id, a loader, and releases that it is about")


@dataclass(frozen=True, slots=True)
class LoaderFloor:
    """Which releases of a loader have none of the flaws known, and which flaws these are.

    `from_release` and all later ones; `after_release` and not before, where only the last bad one
    is known; neither: no release is known to be good. `also` are earlier releases that are good,
    each the first of its series.
    """

    loader: str
    from_release: str
    after_release: str
    also: tuple[str, ...]
    advisories: tuple[str, ...]

    def __str__(self) -> str:
        """`keras >= 3.13.2, or 3.12.1 of its series`, for messages."""
        if self.after_release:
            words = f"{self.loader} later than {self.after_release}"
        elif self.from_release:
            words = f"{self.loader} >= {self.from_release}"
        else:
            return f"no release of {self.loader} that is known"
        return words + "".join(f", or {release} of its series" for release in self.also)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """Bytes known to be bad: why, and who says so. `size_bytes` is None if that is not told."""

    digest: Digest
    reason: str
    source: str
    size_bytes: int | None = None
