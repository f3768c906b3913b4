"""Lets system calls on one store's files fail: full disks, bad sectors, short and wrong answers.

The calls themselves are replaced, so what is tried is the real backend with everything above
it. Only calls on paths below the store's folder, and on descriptors opened there, are touched.
"""

import errno
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REAL = {
    name: getattr(os, name)
    for name in (
        "open", "close", "write", "pread", "preadv", "fsync",
        "link", "replace", "rename", "unlink", "mkdir", "utime", "scandir", "stat",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """What goes wrong, in which calls."""

    name: str
    calls: tuple[str, ...]
    error: int = 0  # 0: no error but a short or wrong answer


FULL = Kind("ENOSPC", ("write", "link", "mkdir", "create"), errno.ENOSPC)
UNREADABLE = Kind("EIO on read", ("pread",), errno.EIO)

KINDS = (
    FULL,
    Kind("EIO on write", ("write", "link", "replace", "unlink", "mkdir", "utime"), errno.EIO),
    Kind("EIO on read", ("pread", "open", "stat", "scandir"), errno.EIO),
    Kind("short write", ("write",)),
    Kind("short read", ("pread",)),
    Kind("fsync failure", ("fsync",), errno.EIO),
    Kind("wrong bit read", ("pread",)),
)


class FailingCalls:
    """Makes the calls of one kind fail, from the `first` on, `count` of them."""

    def __init__(
        self,
        root: Path,
        kind: Kind,
        first: int = 0,
        count: int = 10_000,
        seed: int = 0,
        only: str = "",
    ) -> None:
        """`only` names a part of the paths that are touched."""
        self.kind = kind
        self._only = only
        self.fired = 0
        self._root = f"{root}/"
        self._first, self._count = first, count
        self._seen = 0
        self._rng = random.Random(seed)
        self._descriptors: dict[int, str] = {}
        self._lock = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the calls for the length of a `with` block; only in this process."""
        for name, call in REAL.items():
            setattr(os, name, self._replaced(name, call))
        try:
            yield
        finally:
            for name, call in REAL.items():
                setattr(os, name, call)

    def _replaced(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if not self._ours(args[0]):
                return real(*args, **options)
            path = self._descriptors.get(args[0], "") if isinstance(args[0], int) else str(args[0])
            what = name
            if name == "open" and args[1] & os.O_CREAT:
                what = "create"
            if name == "preadv":
                what = "pread"
            if name == "close":
                self._descriptors.pop(args[0], None)
            if "/locks" not in path and self._only in path and self._due(what):
                if name == "preadv" and not self.kind.error:
                    return self._misread(real, *args)
                return self._fail(what, real, *args, **options)
            answer = real(*args, **options)
            if name == "open":
                self._descriptors[answer] = str(args[0])
            return answer

        return call

    def _ours(self, target: object) -> bool:
        if isinstance(target, int):
            return target in self._descriptors
        return str(target).startswith(self._root)

    def _due(self, what: str) -> bool:
        if what not in self.kind.calls:
            return False
        with self._lock:
            self._seen += 1
            due = self._first < self._seen <= self._first + self._count
            self.fired += due
        return due

    def _fail(self, what: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.kind.error:
            if what == "write" and self._rng.random() < 0.5:  # a part of it got through
                real(args[0], memoryview(args[1])[: len(args[1]) // 2])
            raise OSError(self.kind.error, os.strerror(self.kind.error))
        if what == "write":
            return real(args[0], memoryview(args[1])[: 1 + len(args[1]) // 3])
        data = bytearray(real(*args, **options))
        if self.kind.name == "short read":
            return bytes(data[: 1 + len(data) // 2])
        if data:
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def _misread(
        self, real: Callable[..., int], descriptor: int, buffers: list[memoryview], offset: int
    ) -> int:
        """Fill the first buffer with less than it asks for, or with one wrong bit."""
        out = buffers[0]
        if self.kind.name == "short read":
            return real(descriptor, [out[: 1 + len(out) // 2]], offset)
        count = real(descriptor, buffers, offset)
        if count:
            out[self._rng.randrange(count)] ^= 1 << self._rng.randrange(8)
        return count
