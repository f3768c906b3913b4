"""Answers worth keeping for a while: computed from content that never changes under its key."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class Memory(Generic[V]):
    """The values asked for last, bounded by their weight; safe to use from several threads.

    At least one value is held, however heavy. Two callers that miss at once both compute.
    """

    def __init__(self, limit: int, weigh: Callable[[V], int]) -> None:
        """`limit` is in whatever `weigh` counts."""
        self._limit = limit
        self._weigh = weigh
        self._held: OrderedDict[Hashable, V] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of this key, made now unless it is remembered."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        fresh = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = fresh
                self._weight += self._weigh(fresh)
            while self._weight > self._limit and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._weight -= self._weigh(dropped)
        return fresh

    @property
    def weight(self) -> int:
        """What is held now weighs this much."""
        return self._weight
