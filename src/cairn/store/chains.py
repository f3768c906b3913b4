"""How deep the parts that are made from others lie, and how many parts reading one takes."""

from collections.abc import Mapping

from cairn.errors import IntegrityError
from cairn.store.bases import MAX_DEPTH

# By policy a part is at most six deep. Cast back and forth with parts that overlap with three
# others it takes 216 parts to read, quantised from that 500. A file that asks for more is made to
# keep its readers busy: with 32 bases each, six levels are a thousand million parts.
MAX_READS = 1024


def depths_of(bases: Mapping[bytes, tuple[bytes, ...]]) -> dict[bytes, int]:
    """The depth of each derived part: one more than that of its deepest base.

    `bases` are those of each derived part; parts that have none are in depth 0. In the order of
    the answer bases come before what is made from them.

    Raises:
        IntegrityError: a part is made from itself, is deeper than `MAX_DEPTH`, or takes more
            than `MAX_READS` parts to read.
    """
    depths: dict[bytes, int] = {}
    reads: dict[bytes, int] = {}
    for digest in bases:
        path = [digest]
        while path:
            part = path[-1]
            below = next((b for b in bases[part] if b in bases and b not in depths), None)
            if below is not None:
                path.append(below)
                if len(path) > MAX_DEPTH:  # also what ends a circle
                    raise IntegrityError(f"part {digest.hex()} is derived in too many steps")
                continue
            path.pop()
            depths[part] = 1 + max(depths.get(base, 0) for base in bases[part])
            reads[part] = 1 + sum(reads.get(base, 1) for base in bases[part])
            if reads[part] > MAX_READS:
                raise IntegrityError(f"part {part.hex()} takes more than {MAX_READS} parts to read")
    return depths
