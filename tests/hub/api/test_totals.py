"""The store's totals are counted seldom, however many people ask."""

import threading
from pathlib import Path

import pytest

from cairn.hub.api.store import TotalsMemory
from cairn.store import StoreStats
from tests.hub.web.homes import open_home
from tests.store.making import checkpoint


def test_callers_at_the_same_time_share_one_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_home(tmp_path) as home:
        store, memory, counted = home.house.store, TotalsMemory(), []
        store.put_bytes(checkpoint([1]))
        stats = store.stats

        def slow_stats() -> StoreStats:
            counted.append(threading.current_thread())
            threading.Event().wait(0.1)
            return stats()

        monkeypatch.setattr(store, "stats", slow_stats)
        threads = [threading.Thread(target=memory.get, args=(home.house,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory.get(home.house).pending == 1
        assert len(counted) == 1
