"""Verifies the files of a model on this machine against the bundle that signs them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cairn.errors import NotFoundError
from cairn.provenance.signing import (
    ALLOWED_UNSIGNED,
    MAX_BUNDLE_BYTES,
    Bundle,
    Differences,
    FoundFiles,
    SignatureCheck,
    SignedManifest,
    Standing,
    Trusted,
    check_signature,
    compare,
    read_bundle,
    read_manifest,
)
from cairn.provenance.signing.folders import GIT_FOLDER, hash_files, list_model


@dataclass(frozen=True, slots=True)
class Verification:
    """What came out: who signed, how many files, and where they differ.

    Files are compared only if the signer is trusted: what a stranger signed says nothing.
    """

    signature: SignatureCheck
    manifest: SignedManifest
    differences: Differences | None

    @property
    def is_verified(self) -> bool:
        """Whether somebody trusted signed exactly these files."""
        return (
            self.signature.standing is Standing.TRUSTED
            and self.differences is not None
            and self.differences.is_none
        )


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What the verifier lets pass: unsigned paths with all below them, links to files."""

    unsigned: Collection[str] = ALLOWED_UNSIGNED
    follow_links: bool = False


def read_bundle_file(path: Path) -> Bundle:
    """The bundle in a file.

    Raises:
        NotFoundError: there is none. UntrustedDataError: it is not one.
    """
    try:
        with path.open("rb") as file:
            return read_bundle(file.read(MAX_BUNDLE_BYTES + 1), path.name)
    except FileNotFoundError:
        raise NotFoundError(
            f"{path}: there is no signature; name it with --signature, or sign with `cairn sign`"
        ) from None


def verify_files(
    model: Path,
    bundle_path: Path,
    trusted: Iterable[Trusted],
    tolerance: Tolerance,
    at: datetime,
    *,
    begin: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None,
) -> Verification:
    """Compare a model with what its bundle says, if somebody trusted signed that.

    `begin` takes the number of bytes to hash and gives a function that takes those hashed.

    Raises:
        NotFoundError: there is no model or no bundle.
        UntrustedDataError: the bundle cannot be read. RequestError: a file cannot.
    """
    bundle = read_bundle_file(bundle_path)
    manifest = read_manifest(bundle.statement, bundle_path.name)
    check = check_signature(bundle, trusted, at)
    if check.standing is not Standing.TRUSTED:
        return Verification(check, manifest, None)
    follow = tolerance.follow_links
    listing = list_model(model, follow_links=follow, besides=bundle_path)
    digests = hash_files(
        listing.files, manifest.algorithm, follow_links=follow, progress=begin(listing.size_bytes)
    )
    unhashed = (GIT_FOLDER,) if listing.has_git_folder else ()
    found = FoundFiles(digests, listing.others, unhashed)
    return Verification(check, manifest, compare(manifest, found, tolerance.unsigned))
