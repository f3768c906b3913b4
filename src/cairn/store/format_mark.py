"""Which version of the store's formats a folder has: object `FORMAT`.

Version 2 adds derived parts (packs and indexes of version 2) and sketches. A store of version
1 is read as it is and becomes one of version 2 with the first pack that is written to it: from
then on an older Cairn refuses it instead of taking new packs for damaged ones.
"""

from cairn.errors import UnavailableError
from cairn.store.backends import Backend
from cairn.store.backends.base import put_bytes, read_all, replace_bytes

FORMAT_KEY = "FORMAT"
VERSION = 2
_READABLE = (1, VERSION)


def _mark(version: int) -> bytes:
    return f"cairn-store {version}\n".encode()


def check_format(backend: Backend, place: str) -> None:
    """Mark a new store, or make sure that this one can be read.

    Raises:
        UnavailableError: it is not a store, or was written by a newer Cairn; `place` names it.
    """
    if not backend.exists(FORMAT_KEY):
        put_bytes(backend, FORMAT_KEY, _mark(VERSION))
    found = read_all(backend, FORMAT_KEY)
    if found in map(_mark, _READABLE):
        return
    name, _, version = found[:100].decode("utf-8", "replace").strip().partition(" ")
    if name == "cairn-store" and version.isdigit():
        raise UnavailableError(
            f"the store in {place} has format {version}, this Cairn reads up to {VERSION}:"
            " update Cairn"
        )
    raise UnavailableError(
        f"{FORMAT_KEY} in {place} does not say `cairn-store {VERSION}`: not a Cairn store"
    )


def bring_up_to_date(backend: Backend) -> None:
    """Mark the store as one of this version, before the first object that only it has."""
    check_format(backend, "use")  # a newer Cairn may have been here since it was opened
    if read_all(backend, FORMAT_KEY) != _mark(VERSION):
        replace_bytes(backend, FORMAT_KEY, _mark(VERSION))
