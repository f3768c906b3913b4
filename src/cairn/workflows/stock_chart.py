"""A stocktaking as bars: families, repos, codecs, depths of chains."""

from collections.abc import Mapping

from cairn.analysis.bars import Bars, Row
from cairn.store import CodecShare, GroupShare
from cairn.workflows.stocktaking import Stocktaking

MAX_ROWS = 16
_GB = 1e9


def stock_chart(found: Stocktaking) -> Bars:
    """Logical, unique and stored bytes side by side; each chapter has a scale of its own."""
    totals = found.totals
    whole = (totals.logical_bytes, found.unique_bytes, totals.stored_bytes)
    chapters = [
        ("whole store", [Row("", whole, _told(totals.stored_bytes, totals.logical_bytes))]),
        ("by family", _groups(found.families)),
        ("by repo", _groups(found.groups)),
        ("by codec or predictor", _codecs(found)),
        ("by depth of chain", _shares({f"{d}": s for d, s in found.by_depth.items()})),
    ]
    return Bars(
        "What the store takes",
        ("logical", "unique", "stored"),
        [(name, rows) for name, rows in chapters if rows],
    )


def _groups(shares: Mapping[str, GroupShare]) -> list[Row]:
    return [
        Row(
            name,
            (share.logical_bytes, share.unique_bytes, share.stored_bytes),
            _told(share.stored_bytes, share.logical_bytes),
        )
        for name, share in list(shares.items())[:MAX_ROWS]
    ]


def _codecs(found: Stocktaking) -> list[Row]:
    named = {
        f"{name} (derived)" if name in found.derived_codecs else f"{name} (alone)": share
        for name, share in found.totals.by_codec.items()
    }
    return _shares(named)


def _shares(shares: Mapping[str, CodecShare]) -> list[Row]:
    return [
        Row(
            name,
            (share.plain_bytes, share.plain_bytes, share.stored_bytes),
            _told(share.stored_bytes, share.plain_bytes),
        )
        for name, share in shares.items()
    ]


def _told(stored_bytes: int, plain_bytes: int) -> str:
    ratio = f": {stored_bytes / plain_bytes:.3f} of it" if plain_bytes else ""
    return f"{plain_bytes / _GB:.3g} GB in {stored_bytes / _GB:.3g} GB{ratio}"
