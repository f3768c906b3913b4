"""How loops over numbers are compiled: once per machine, without the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numpy.typing import NDArray

Loop = TypeVar("Loop", bound=Callable[..., Any])

REASSOCIATE = frozenset({"reassoc", "contract", "nnan", "nsz"})
"""Lets sums and extremes run in vector lanes; only for values known to hold no NaN."""


def compiled(fastmath: frozenset[str] = frozenset()) -> Callable[[Loop], Loop]:
    """Compile a function over NumPy arrays on first call, kept beside the module where possible.

    Without `fastmath` every operation is IEEE 754's own, in the order written: the same bits
    on every machine. numba refuses to define a cached function where no folder can be written
    (a read-only installation without a home); compiling anew in each process is what is left.
    """

    def decorate(loop: Loop) -> Loop:
        made: Loop
        flags = set(fastmath) or False
        try:
            made = numba.njit(loop, nogil=True, fastmath=flags, cache=True)
        except RuntimeError:
            made = numba.njit(loop, nogil=True, fastmath=flags)
        return made

    return decorate


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written: compiled loops are compiled for each kind of array."""
    view = array.view()
    view.flags.writeable = False
    return view
