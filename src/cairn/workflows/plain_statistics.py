"""Statistics of a tensor as plain data: the form they have in JSON and in the catalog.

`SCHEMA` rises when a key changes its meaning or goes, or when numbers come out differently:
what the catalog keeps under an older one is measured again.
"""

from typing import Any

from cairn.domain import Histogram, Octave, Spectrum, TensorStatistics
from cairn.errors import MalformedError
from cairn.workflows.health import HealthSummary, TensorHealth

SCHEMA = 1


def plain(statistics: TensorStatistics) -> dict[str, Any]:
    """JSON-able numbers. Every one is measured over all values, but for the derived histogram."""
    s = statistics
    return {
        "evidence": "measured",
        "count": s.count,
        "nan": s.nans,
        "positive_infinity": s.positive_infinities,
        "negative_infinity": s.negative_infinities,
        "zeros": s.zeros,
        "subnormals": s.subnormals,
        "min": s.minimum,
        "max": s.maximum,
        "abs_max": s.abs_max,
        "mean": s.mean,
        "std": s.std,
        "l2_norm": s.l2_norm,
        "constant": s.is_constant,
        "distinct": {"count": s.distinct, "exact": s.distinct_is_exact},
        "rows": None if s.rows is None else {"count": s.rows, "dead": s.dead_rows},
        "rank": _plain_rank(s),
        "octaves": [[o.exponent, o.negative, o.positive] for o in s.octaves],
        "histogram": None if s.histogram is None else _plain_histogram(s.histogram),
    }


def parsed(data: dict[str, Any]) -> TensorStatistics:
    """The statistics that `plain` wrote.

    Raises:
        MalformedError: they are not of this form.
    """
    try:
        return _parsed(data)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"statistics of another form: {error!r}") from error


def plain_health(health: TensorHealth) -> dict[str, Any]:
    """One tensor's part of `cairn inspect --stats --json`."""
    found = health.statistics
    return {
        "statistics": None if found is None else plain(found),
        "not_read": health.not_read or None,
        "troubles": [trouble.value for trouble in health.troubles],
    }


def plain_summary(summary: HealthSummary) -> dict[str, Any]:
    """The checkpoint's part of `cairn inspect --stats --json`."""
    return {
        "measured": summary.measured,
        "not_read": summary.not_read,
        "troubles": {kind.value: count for kind, count in summary.troubles.items()},
    }


def _plain_rank(s: TensorStatistics) -> dict[str, Any]:
    if s.spectrum is None:
        return {"not_computed": s.no_spectrum}
    return {
        "effective": s.spectrum.effective_rank,
        "stable": s.spectrum.stable_rank,
        "full": s.spectrum.full_rank,
    }


def _plain_histogram(h: Histogram) -> dict[str, Any]:
    shown = {"low": h.low, "high": h.high, "counts": list(h.counts)}
    return {"evidence": "derived", **shown, "below": h.below, "above": h.above}


def _parsed(data: dict[str, Any]) -> TensorStatistics:
    rows, rank, shown = data["rows"], data["rank"], data["histogram"]
    return TensorStatistics(
        count=data["count"],
        nans=data["nan"],
        positive_infinities=data["positive_infinity"],
        negative_infinities=data["negative_infinity"],
        zeros=data["zeros"],
        subnormals=data["subnormals"],
        minimum=data["min"],
        maximum=data["max"],
        mean=data["mean"],
        std=data["std"],
        l2_norm=data["l2_norm"],
        distinct=data["distinct"]["count"],
        distinct_is_exact=data["distinct"]["exact"],
        rows=None if rows is None else rows["count"],
        dead_rows=0 if rows is None else rows["dead"],
        octaves=tuple(Octave(*numbers) for numbers in data["octaves"]),
        histogram=None
        if shown is None
        else Histogram(
            shown["low"], shown["high"], tuple(shown["counts"]), shown["below"], shown["above"]
        ),
        spectrum=Spectrum(rank["effective"], rank["stable"], rank["full"])
        if "effective" in rank
        else None,
        no_spectrum=rank.get("not_computed", ""),
    )
