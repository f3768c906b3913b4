"""What every verb works with: the rooms below, opened once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cairn.catalog import Catalog
from cairn.formats import Reader
from cairn.plugins import Registry
from cairn.store import BlobStore


@dataclass(frozen=True)
class House:
    """The opened rooms of one installation, made by `bootstrap`."""

    catalog: Catalog
    store: BlobStore
    readers: Registry[Reader]
    clock: Callable[[], datetime]
