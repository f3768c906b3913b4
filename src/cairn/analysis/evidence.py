"""What of an update tells of a backdoor, as one number of a model.

A backdoor asks one thing of many inputs, so what training adds for it points one way: in the
dense matrices the first direction of the update stands above the second. `concentration` is the
mean of that logarithm over matrices, which does not grow with their number. A trigger that is a
word moves the row of a word that is rare. `docs/security/weights.md` has what else was tried, and
how often the score errs.
"""

from collections.abc import Iterable
from math import log

from cairn.analysis.update_profile import Update

MIN_SIDE = 8
"""Matrices with a shorter side have too few directions for the first to mean anything."""

LOW_RANK_SHARE = 0.99
"""Updates whose told directions hold this much of the energy are of low rank by construction."""

_LEAST_SHARE = 1e-9


def lead(update: Update) -> float | None:
    """The logarithm of the energy of the first direction over that of the second.

    None where the update is no dense matrix, or too small a one.
    """
    shape = update.shape
    if len(shape) != 2 or min(shape) < MIN_SIDE or len(update.shares) < 2:
        return None
    first, second = update.shares[:2]
    return log(first / max(second, _LEAST_SHARE))


def concentration(updates: Iterable[Update]) -> float | None:
    """The mean lead of the matrices that have one; None where none has."""
    leads = [found for found in map(lead, updates) if found is not None]
    return sum(leads) / len(leads) if leads else None


def is_low_rank(update: Update) -> bool:
    """Whether few directions hold all of a large enough matrix's update, as of a merged adapter."""
    has_more = min(update.shape, default=0) > 2 * len(update.shares)
    return bool(update.shares) and has_more and sum(update.shares) >= LOW_RANK_SHARE
