"""How far the values of one tensor may outgrow the bytes of files that hold them.

A few header bytes may declare any shape and lay the same stored bytes under all of it; whoever
then reads the values would read for ever.
"""

from collections import defaultdict

from cairn.domain import Span, TensorInfo
from cairn.errors import LimitError
from cairn.formats.limits import MAX_DEFLATE_RATIO, MAX_UNSTORED_BYTES


def check_unfolding(tensor: TensorInfo) -> None:
    """Refuse a tensor in pieces of which hardly anything is stored.

    Raises:
        LimitError: its distinct stored bytes could not unfold to its size.
    """
    spans: dict[tuple[str, bool], list[Span]] = defaultdict(list)
    for piece in tensor.pieces:
        spans[piece.path, bool(piece.encoding)].append(piece.span)
    held = sum(
        _covered(found) * (MAX_DEFLATE_RATIO if is_encoded else 1)
        for (_, is_encoded), found in spans.items()
    )
    if tensor.size_bytes > held + MAX_UNSTORED_BYTES:
        raise LimitError(
            f"tensor {tensor.name[:200]!r} of {tensor.size_bytes} bytes is held by pieces that"
            f" unfold to {held} at most"
        )


def _covered(spans: list[Span]) -> int:
    """Bytes that lie in any of the spans, each counted once."""
    covered = reached = 0
    for span in sorted(spans):
        covered += max(0, span.stop - max(reached, span.start))
        reached = max(reached, span.stop)
    return covered
