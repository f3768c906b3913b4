"""Which of several records of one part counts: the one in the newest pack.

Readers take it first, new parts are made from it, and gc keeps it and drops the others. Packs on
their way out come last.
"""

import time

from cairn.errors import UnavailableError

# File times lag behind the clock by one tick of the kernel (10 ms with HZ=100): after a pause of
# two, what is touched or made from then on is newer than what was there before.
CLOCK_STEP_S = 0.02
_LONGEST_WAIT_S = 1.0


def precedence(pack_id: str, modified_s: float, *, condemned: bool) -> tuple[bool, float, str]:
    """A key that sorts packs so that of a part in several the first one's record counts.

    `modified_s` is when the pack was sealed, Unix seconds.
    """
    return condemned, -modified_s, pack_id


def wait_until_newest(newest_s: float) -> None:
    """Return when a pack made from now on is newer than one of the Unix time `newest_s`.

    Raises:
        UnavailableError: that would take more than a second: the clock was set back.
    """
    wait_s = newest_s + CLOCK_STEP_S - time.time()
    if wait_s > _LONGEST_WAIT_S:
        raise UnavailableError(
            f"the newest pack of the store is {wait_s:.0f} s ahead of the clock, so that newer"
            " ones would not count: set the clock right, or wait"
        )
    time.sleep(max(0.0, wait_s))
