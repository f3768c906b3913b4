"""Says which files of which repos a damaged blob is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cairn.catalog import Location
from cairn.domain import Digest
from cairn.workflows.house import House


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that cannot be read, why, and the files that it is; none: no revision needs it.

    `names` are those it has in the store itself, `size_bytes` its plain bytes where they are known,
    `tried` says why each place that was asked for a copy could not give one.
    """

    digest: Digest
    reason: str
    locations: tuple[Location, ...]
    names: tuple[str, ...] = ()
    size_bytes: int | None = None
    tried: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        files = [
            {"type": place.repo.type.value, "repo": place.repo.full_name,
             "revision": place.revision, "path": place.path}
            for place in self.locations
        ]  # fmt: skip
        more = {"names": list(self.names), "tried": list(self.tried)}
        return {
            "sha256": self.digest.hex,
            "size_bytes": self.size_bytes,
            "reason": self.reason,
            "files": files,
            **{key: texts for key, texts in more.items() if texts},
        }


def located(house: House, damaged: Iterable[tuple[Digest, str]]) -> list[Damage]:
    """Damaged blobs with their files."""
    reasons = dict(damaged)
    locations = house.catalog.history.locations(reasons)
    sizes = house.catalog.history.sizes(reasons)
    return [
        Damage(digest, reason, locations[digest], size_bytes=sizes.get(digest))
        for digest, reason in reasons.items()
    ]
