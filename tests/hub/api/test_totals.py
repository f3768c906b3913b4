"""The store's totals are counted seldom, however many people ask."""

import threading
from types import SimpleNamespace
from typing import cast

from cairn.domain import Blob, Digest
from cairn.hub.api.store import TotalsMemory
from cairn.store import StoreStats
from cairn.workflows.house import House

NOTHING = Blob(Digest.sha256("0" * 64), 0)


class SlowStore:
    """A store that takes a tenth of a second to count."""

    def __init__(self) -> None:
        self.counted = 0

    def stats(self) -> StoreStats:
        self.counted += 1
        threading.Event().wait(0.1)
        return StoreStats(1, 2, 3, 4, 5, 6, 7)

    def pending(self) -> list[Digest]:
        return [NOTHING.digest]

    def blob(self, digest: Digest) -> Blob:
        return NOTHING


def test_callers_at_the_same_time_share_one_count() -> None:
    store, memory = SlowStore(), TotalsMemory()
    catalog = SimpleNamespace(history=SimpleNamespace(live_digests=list))
    house = cast("House", SimpleNamespace(store=store, catalog=catalog))
    threads = [threading.Thread(target=memory.get, args=(house,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.get(house).pending == 1
    assert store.counted == 1
