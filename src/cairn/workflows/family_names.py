"""Names of a store without a hub, and their files, as one family file; and back."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cairn.errors import ConflictError, EntryNotFoundError, MalformedError, RequestError
from cairn.store import BlobStore, FamilyContents, Imported, NamedBlob

Progress = Callable[[int], None]


def names_wanted(store: BlobStore, wanted: Sequence[str]) -> list[NamedBlob]:
    """The names given, and those in the folders given; all if none are.

    Raises:
        EntryNotFoundError: the store has nothing of that name.
    """
    every = store.names.list()
    if not wanted:
        return every
    found: dict[str, NamedBlob] = {}
    for text in wanted:
        folder = f"{text.rstrip('/')}/"
        below = [n for n in every if n.name == text or n.name.startswith(folder)]
        if not below:
            raise EntryNotFoundError(f"nothing in the store is called {text[:200]!r}")
        found |= {named.name: named for named in below}
    return list(found.values())


def import_names(
    store: BlobStore,
    family: FamilyContents,
    *,
    into: str = "",
    replace_names: bool = False,
    progress: Progress,
) -> Imported:
    """Take the blobs in and give them their names, with `into` and a slash before each.

    Names that belong to the same bytes already stay as they are. When one belongs to others,
    nothing is taken in.

    Raises:
        RequestError: the file holds no names.
        ConflictError: a name belongs to other bytes, and `replace_names` is not given.
        NamingError: a name would be too long.
        UntrustedDataError: the file is not what it says; nothing got a name.
    """
    names = [_moved(named, into) for named in checked_names(family)]
    new = [named for named in names if not _belongs(store, named, replace_names=replace_names)]
    with store.importing(family, progress) as done:
        for named in new:
            if not store.names.put(named, replace=replace_names):
                _belongs(store, named, replace_names=False)  # given since the first look
    return done


def checked_names(family: FamilyContents) -> list[NamedBlob]:
    """The names of a file, each of a blob that the file holds.

    Raises:
        RequestError: it holds none.
        MalformedError: one is of a blob that the file does not hold.
    """
    names = check_names(family)
    if not names:
        raise RequestError(f"{family.file.source.name} holds repos: name a hub's data directory")
    return names


def check_names(family: FamilyContents) -> list[NamedBlob]:
    """The names of a file, which may be none.

    Raises:
        MalformedError: one is of a blob that the file does not hold.
    """
    names, blobs = family.file.names(), set(family.blobs)
    for named in names:
        if named.blob not in blobs:
            raise MalformedError(
                f"{named.name[:200]!r} is a blob that is not in it", source=family.file.source.name
            )
    return names


def _moved(named: NamedBlob, into: str) -> NamedBlob:
    prefix = f"{into.strip('/')}/" if into.strip("/") else ""
    return replace(named, name=prefix + named.name)


def _belongs(store: BlobStore, named: NamedBlob, *, replace_names: bool) -> bool:
    """Whether the name is given to these bytes already.

    Raises:
        ConflictError: it is given to others, and `replace_names` is not set.
    """
    try:
        there = store.names.get(named.name)
    except EntryNotFoundError:
        return False
    if there.blob != named.blob and not replace_names:
        raise ConflictError(
            f"{named.name!r} is in the store with other bytes: --replace moves it, --into"
            " gives the names of the file another beginning"
        )
    return there.blob == named.blob
