"""What every verb works with: the rooms below, opened once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cairn.catalog import Catalog
from cairn.domain import NO_QUOTA, Quota
from cairn.formats import Reader
from cairn.plugins import Registry
from cairn.provenance.log import Signatory
from cairn.scanner.advisories import AdvisoryShelf
from cairn.store import BlobStore


class Keeper(Protocol):
    """A store, and the readers that know the formats of what it keeps: a house, or a folder."""

    @property
    def store(self) -> BlobStore:
        """Where the bytes are."""
        ...

    @property
    def readers(self) -> Registry[Reader]:
        """Which formats are read."""
        ...


@dataclass(frozen=True)
class House:
    """The opened rooms of one installation, made by `bootstrap`.

    `default_quota` holds for namespaces that have none of their own.
    """

    catalog: Catalog
    store: BlobStore
    readers: Registry[Reader]
    clock: Callable[[], datetime]
    signatory: Signatory
    default_quota: Quota = NO_QUOTA
    advisories: AdvisoryShelf = field(default_factory=AdvisoryShelf)
