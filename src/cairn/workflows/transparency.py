"""Keeps the transparency log: puts in what waits, signs its head, proves what is in it."""

import base64
from collections.abc import Sequence
from dataclasses import replace

from cairn.catalog import Logged, WaitingEvent
from cairn.domain import Actor, LogEvent, RepoId, Revision
from cairn.errors import EntryNotFoundError, IntegrityError, RequestError, UntrustedDataError
from cairn.provenance.log import (
    CHECKPOINT,
    HASH_BYTES,
    KEYS,
    NEW,
    OLD,
    TILE_WIDTH,
    WITNESSED,
    Announced,
    Cosignature,
    LogKeys,
    LogProof,
    Opening,
    PublicKey,
    Tile,
    TiledTree,
    TreeHead,
    consistency_proof,
    cosignatures,
    decode,
    edge_tiles,
    encode,
    grown,
    hide,
    inclusion_proof,
    leaf_hash,
    manifest_digest,
    merge,
    note_text,
    pack_entries,
    root_hash,
    signed_by,
)
from cairn.workflows import browse
from cairn.workflows.access import require_admin
from cairn.workflows.house import House

_EVENTS_AT_ONCE = 500  # in one transaction
UNREADABLE = "unreadable"


def settle(house: House) -> int:
    """Put everything that waits into the log, in order; how many entries it has then.

    Whatever was acknowledged before the call is in. Several may do this at once.
    """
    logbook = house.catalog.logbook
    while waiting := logbook.waiting(_EVENTS_AT_ONCE):
        size = logbook.size()
        added = [(one, _entry(house, size + n, one)) for n, one in enumerate(waiting)]
        edge = [(tile, _hashes(house, tile)) for tile in edge_tiles(size)]
        tiles = grown(size, edge, (leaf_hash(logged.entry) for _, logged in added))
        changed = {(tile.level or 0, tile.number): hashes for tile, hashes in tiles.items()}
        logbook.append(size, added, changed)  # or another process did, and it is asked again
    return logbook.size()


def signed_head(house: House) -> bytes:
    """The head of the log with all that was acknowledged before the call, signed.

    Raises:
        IntegrityError: the log does not begin with the one that was signed last, or is damaged.
        UnavailableError: the key cannot be used.
    """
    while (note := _signed_now(house)) is None:
        pass  # each time the log has grown, and another process signed it
    return note


def _signed_now(house: House) -> bytes | None:
    """None if another process signed a larger head meanwhile."""
    last = house.signatory.last_head()
    size = settle(house)
    tree = _tree(house, size)
    root = root_hash(size, tree.node)
    return house.signatory.sign(
        size, root, last, lambda old: consistency_proof(old, size, tree.node)
    )


def tile_content(house: House, tile: Tile) -> bytes:
    """What is served as this tile.

    Raises:
        EntryNotFoundError: the log is not as long.
    """
    if tile.level is not None:
        return _hashes(house, tile)
    first = tile.number * TILE_WIDTH
    entries = house.catalog.logbook.entries(first, first + tile.width)
    if len(entries) < tile.width:
        raise _missing(tile)
    return pack_entries(entries)


def rotate_key(house: House, actor: Actor) -> PublicKey:
    """Have a new key sign the log from now on; the log says so, and the old key is removed.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        IntegrityError, UnavailableError: see `Signatory.hand_over`.
    """
    require_admin(actor)

    def announce(old: PublicKey, new: PublicKey) -> Announced:
        house.catalog.logbook.note_key(actor, {OLD: str(old), NEW: str(new)})
        size = settle(house)
        number, entry = _announcement(house, size, str(new))
        tree = _tree(house, size)
        return Announced(
            entry,
            number,
            tuple(inclusion_proof(number, size, tree.node)),
            size,
            root_hash(size, tree.node),
            lambda before: consistency_proof(before, size, tree.node),
        )

    return house.signatory.hand_over(announce)


def _announcement(house: House, size: int, new: str) -> tuple[int, bytes]:
    """Number and bytes of the entry that names a key; it was put in a moment ago."""
    for number in range(size - 1, -1, -1):
        (entry,) = house.catalog.logbook.entries(number, number + 1)
        event = decode(entry)
        if isinstance(event, LogEvent) and event.details.get(NEW) == new:
            return number, entry
    raise IntegrityError("the log lost the entry that names its new key")


def witnessed(house: House) -> bytes:
    """The newest head that witnesses cosigned, with their lines.

    Raises:
        EntryNotFoundError: none did.
    """
    note = house.signatory.witnessed()
    if note is None:
        raise EntryNotFoundError("no witness has cosigned a head of this log yet")
    return note


def keep_cosignatures(
    house: House, note: bytes, witnesses: Sequence[PublicKey]
) -> list[Cosignature]:
    """Keep what witnesses say of a head of this log, which the note has signed by the log too.

    Those of an older head than was cosigned before are not kept.

    Raises:
        RequestError: none of these witnesses cosigned it.
        IntegrityError: a signature is wrong, or it is no head of this log.
        MalformedError, LimitError: it is no signed head.
    """
    signatory = house.signatory
    keys = LogKeys.believing(signatory.public_key, signatory.handovers())
    head = keys.head(note)
    size = settle(house)
    if head.size > size or root_hash(head.size, _tree(house, head.size).node) != head.root:
        raise IntegrityError(f"a head of {head.size} entries with another root is none of this log")
    found = cosignatures(note, witnesses)
    if not found:
        raise RequestError("the witness did not cosign the head, or has another key")
    checked = signed_by(note, [*keys.known, *(one.witness for one in found)])

    def combined(before: bytes | None) -> bytes | None:
        known = _head_or_none(before)
        if before is not None and known == head:
            return merge(before, checked)
        return checked if known is None or known.size < head.size else None

    signatory.keep_witnessed(combined)
    return found


def _head_or_none(note: bytes | None) -> TreeHead | None:
    """A file that nothing reads any more must not keep out what witnesses say from now on."""
    try:
        return None if note is None else TreeHead.parse(note_text(note))
    except UntrustedDataError:
        return None


def consistency_lines(house: House, old: int, size: int) -> list[str]:
    """The proof that a head of `size` entries begins with one of `old`, each hash in base64."""
    proof = consistency_proof(old, size, _tree(house, size).node) if old else []
    return [base64.b64encode(one).decode() for one in proof]


class OwnLog:
    """The log of a house as the files that others read."""

    def __init__(self, house: House) -> None:
        self._house = house

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `cairn.provenance.log.LogFiles`."""
        del max_bytes  # nothing here is longer
        if path == CHECKPOINT:
            return signed_head(self._house)
        if path == KEYS:
            return self._house.signatory.handovers()
        if path == WITNESSED:
            return witnessed(self._house)
        return tile_content(self._house, Tile.at(path))


def entry_of(house: House, uid: str, revision: Revision) -> Logged | None:
    """The log's first entry of a revision of a repo; None if it has none of its own.

    A commit that came with others, in an import, is logged only by what was built on it.
    """
    found = house.catalog.logbook.of_commit(uid, revision.id)
    if found is not None:
        return found
    settle(house)  # it may wait
    return house.catalog.logbook.of_commit(uid, revision.id)


def prove(house: House, actor: Actor, repo_id: RepoId, revision: str | None) -> LogProof:
    """A proof that a revision is in the log, which opens the entry if it is hidden.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: there is none that the caller may know of.
        EntryNotFoundError: it has no entry of its own.
        IntegrityError, UnavailableError: see `signed_head`.
    """
    view = browse.view(house, actor, repo_id, revision)
    logged = entry_of(house, view.repo.uid, view.revision)
    if logged is None:
        raise EntryNotFoundError(
            f"{view.revision.id} has no entry in the log: it came with an import, or was made"
            " before there was a log; ask for a revision that a branch or tag was at"
        )
    note = signed_head(house)
    size = TreeHead.parse(note_text(note)).size
    path = inclusion_proof(logged.number, size, _tree(house, size).node)
    opening = None
    if logged.salt is not None and logged.content is not None:
        opening = Opening(logged.salt, logged.content)
    return LogProof(logged.entry, opening, logged.number, tuple(path), note)


def _entry(house: House, number: int, waiting: WaitingEvent) -> Logged:
    event = waiting.event
    if waiting.tree is not None:
        manifest = _manifest_digest(house, waiting.tree)
        event = replace(event, details={**event.details, "manifest": manifest})
    if not waiting.private:
        return Logged(number, encode(event))
    entry, opening = hide(event)
    return Logged(number, entry, opening.salt, opening.content)


def _manifest_digest(house: House, tree: str) -> str:
    """Said to be unreadable where it is: a damaged row must not keep others out of the log."""
    try:
        return manifest_digest(house.catalog.history.manifest(tree).entries.values())
    except IntegrityError:
        return UNREADABLE


def _tree(house: House, size: int) -> TiledTree:
    return TiledTree(size, lambda tile: _hashes(house, tile))


def _hashes(house: House, tile: Tile) -> bytes:
    assert tile.level is not None
    wanted = tile.width * HASH_BYTES
    found = house.catalog.logbook.tile(tile.level, tile.number) or b""
    if len(found) < wanted:
        raise _missing(tile)
    return found[:wanted]


def _missing(tile: Tile) -> EntryNotFoundError:
    return EntryNotFoundError(f"the log has no {tile.path}: it is not as long")
