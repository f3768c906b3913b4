"""Merkle trees as Certificate Transparency has them: hashes, proofs, and the checking of proofs.

Specification: RFC 9162, section 2.1 (https://www.rfc-editor.org/rfc/rfc9162#section-2.1), the
same tree as RFC 6962. A tree of n leaves splits at the largest power of two below n. Whoever
makes a proof has the hash of every complete subtree, `node(height, index)`: that of the leaves
from `index << height`, `1 << height` of them.
"""

import hashlib
from collections.abc import Callable, Sequence

from cairn.errors import IntegrityError, RequestError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(size: int, node: Node) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of `size` leaves, from the bottom up.

    Raises:
        RequestError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise RequestError(f"a log of {size} entries has no entry {index}")
    proof: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(_range_hash(middle, end, node))
            end = middle
        else:
            proof.append(_range_hash(first, middle, node))
            first = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The hashes that show the first `old` leaves to be the same in the tree of `new`.

    Raises:
        RequestError: `old` is larger than `new`.
    """
    if not 0 <= old <= new:
        raise RequestError(f"a log of {new} entries never had {old}")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    first, end, whole = 0, new, True
    while end != old:
        middle = first + _split(end - first)
        if old <= middle:
            proof.append(_range_hash(middle, end, node))
            end = middle
        else:
            proof.append(_range_hash(first, middle, node))
            first, whole = middle, False
    if not whole:
        proof.append(_range_hash(first, end, node))
    return proof[::-1]


def check_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Let through a leaf that the proof shows to be at `index` (RFC 9162, 2.1.3.2).

    Raises:
        IntegrityError: it does not.
    """
    if not 0 <= index < size:
        raise IntegrityError(f"entry {index} is not in a log of {size} entries")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise IntegrityError(f"the proof for entry {index} is too long for {size} entries")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last or found != root:
        raise IntegrityError(f"the proof does not lead from entry {index} to the log's root")


def check_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Let through a tree of `new` leaves that begins with the one of `old` (RFC 9162, 2.1.4.2).

    Raises:
        IntegrityError: the new tree is smaller, or the proof does not show it.
    """
    if old > new:
        raise IntegrityError(f"the log had {old} entries and now has {new}: it was cut")
    if old in (0, new):
        if proof or old_root != (new_root if old else EMPTY_ROOT):
            raise _rewritten(old, new)
        return
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    hashes = [old_root, *proof] if at == 0 else list(proof)
    if not hashes:
        raise _rewritten(old, new)
    old_found = new_found = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise _rewritten(old, new)
        if at & 1 or at == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        at, last = at >> 1, last >> 1
    if last or old_found != old_root or new_found != new_root:
        raise _rewritten(old, new)


def _rewritten(old: int, new: int) -> IntegrityError:
    return IntegrityError(
        f"the log of {new} entries does not begin with the {old} entries it had: it was rewritten"
    )


def _range_hash(first: int, end: int, node: Node) -> bytes:
    """The hash of the leaves from `first` to `end`, a subtree that splits as the whole does."""
    count = end - first
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return node(height, first >> height)
    middle = first + _split(count)
    return node_hash(_range_hash(first, middle, node), _range_hash(middle, end, node))


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
