"""Decoded parts kept for the next who asks: the latest used, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable


class PlainCache:
    """Plain bytes by any key, least recently used first out; thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._plains: OrderedDict[Hashable, memoryview] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> memoryview | None:
        """The bytes under this key, if they are still here."""
        with self._lock:
            plain = self._plains.get(key)
            if plain is not None:
                self._plains.move_to_end(key)
            return plain

    def put(self, key: Hashable, plain: memoryview) -> None:
        """Keep these bytes; drops others when there are too many, but never the last one."""
        with self._lock:
            if key not in self._plains:
                self._plains[key] = plain
                self._bytes += len(plain)
            while self._bytes > self._max_bytes and len(self._plains) > 1:
                _, dropped = self._plains.popitem(last=False)
                self._bytes -= len(dropped)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._plains

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._plains.clear()
            self._bytes = 0
