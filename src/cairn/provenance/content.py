"""A name for the content of data: the same files, the same name, wherever they lie."""

import hashlib
from pathlib import Path

from cairn.errors import EntryNotFoundError
from cairn.provenance.signing.folders import hash_files, list_model


def content_bytes(path: Path) -> int:
    """How many bytes `content_digest` would read."""
    return list_model(path, follow_links=True, besides=path).size_bytes


def content_digest(path: Path) -> str:
    """`sha256:...` of a file; of a folder, that of the listing `sha256sum` makes of its files.

    The listing has a line for each file, by path: its SHA-256, two spaces, its path.

    Raises:
        EntryNotFoundError: there is nothing.
    """
    if not path.exists():
        raise EntryNotFoundError(f"{path}: no such file or folder")
    files = list_model(path, follow_links=True, besides=path).files
    digests = hash_files(files, "sha256", follow_links=True)
    if path.is_file():
        return f"sha256:{digests[path.name]}"
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"
