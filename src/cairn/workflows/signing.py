"""Signs a model, here or on a hub: a bundle says which its files are, byte for byte."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import ConflictError, NamingError, RequestError
from cairn.provenance.signing import (
    DEFAULT_IGNORED,
    Bundle,
    SignedManifest,
    Signer,
    StatementSigner,
    keys,
)
from cairn.provenance.signing.certificates import read_certificates
from cairn.provenance.signing.folders import GIT_FOLDER, Listing, hash_files, list_model

BUNDLE_NAME = "model.sig"
PUBLIC_SUFFIX = ".pub"
PRIVATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class FilesToSign:
    """What a signature will cover, and what it will not."""

    name: str
    listing: Listing
    left_out: tuple[str, ...]
    ignored: tuple[str, ...]


def usual_bundle(model: Path) -> Path:
    """Where the signature of a model lies: in its folder, or beside a single file."""
    return model.with_name(model.name + ".sig") if model.is_file() else model / BUNDLE_NAME


def files_to_sign(model: Path, bundle: Path, *, git_files: bool = False) -> FilesToSign:
    """List what is to be signed; `git_files` has .gitattributes and the like signed as well.

    Raises:
        NotFoundError: there is no such model.
        RequestError: it has links or other things that are no regular files, or no files.
    """
    found = list_model(model, follow_links=False, besides=bundle)
    for path, what in found.others.items():
        raise RequestError(
            f"{model}: {path!r} is a {what}: only regular files are signed; copy the folder with"
            " its links followed (cp -rL) and sign the copy"
        )
    ignored = _ignored(git_files=git_files)
    kept = {p: at for p, at in found.files.items() if p.partition("/")[0] not in ignored}
    left_out = [path for path in found.files if path not in kept]
    if found.has_git_folder:
        left_out.append(GIT_FOLDER)
    if not kept:
        raise RequestError(f"{model}: there is no file to sign")
    name = model.resolve().name or "model"
    return FilesToSign(name, Listing(kept), tuple(sorted(left_out)), ignored)


def sign_files(
    files: FilesToSign, signer: StatementSigner, algorithm: str, progress: Callable[[int], None]
) -> Bundle:
    """Hash the files and sign their digests.

    Raises:
        RequestError: a file cannot be read, or its name is no Unicode.
        IntegrityError: one was replaced meanwhile.
    """
    digests = hash_files(files.listing.files, algorithm, follow_links=False, progress=progress)
    try:
        manifest = SignedManifest(files.name, digests, algorithm, files.ignored)
    except NamingError as error:
        raise RequestError(f"{error}; rename the file and sign again") from None
    return signer.sign(manifest.statement())


def sign_digests(
    name: str, digests: Mapping[str, str], signer: StatementSigner, *, git_files: bool = False
) -> tuple[Bundle, tuple[str, ...]]:
    """Sign files by the SHA-256 that a hub says they have; returns what is left out as well.

    Raises:
        RequestError: there are no files, or one has an impossible name.
    """
    manifest = manifest_of(name, digests, git_files=git_files)
    left_out = digests.keys() - manifest.digests.keys()
    return signer.sign(manifest.statement()), tuple(sorted(left_out))


def manifest_of(
    name: str, digests: Mapping[str, str], *, git_files: bool = False
) -> SignedManifest:
    """What a signature of files with these SHA-256 covers.

    Raises:
        RequestError: there are no files, or one has an impossible name.
    """
    ignored = _ignored(git_files=git_files)
    kept = {path: one for path, one in digests.items() if path.partition("/")[0] not in ignored}
    try:
        return SignedManifest(name, kept, ignored=ignored)
    except NamingError as error:
        raise RequestError(f"{name}: {error}") from None


def _ignored(*, git_files: bool) -> tuple[str, ...]:
    return (GIT_FOLDER,) if git_files else DEFAULT_IGNORED


def read_signer(key: Path, certificates: Path | None, passphrase: Callable[[], str]) -> Signer:
    """The key in a file, and the certificates that go with it; asks only if it is encrypted.

    Raises:
        RequestError: a file holds something else, or they do not belong together.
    """
    pem = key.read_bytes()
    words = passphrase().encode() if keys.is_encrypted(pem) else None
    private = keys.read_private_key(pem, str(key), words)
    if certificates is None:
        return Signer(private)
    chain = read_certificates(certificates.read_bytes(), str(certificates))
    return Signer(private, tuple(chain))


def write_new_key(path: Path, passphrase: str) -> tuple[Path, str]:
    """Make a key pair: the private key at `path`, for its owner only, the public one beside it.

    An empty passphrase leaves the key unencrypted. Returns where the public key is, and its
    fingerprint.

    Raises:
        ConflictError: one of the files exists.
    """
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    if public.exists():
        raise ConflictError(f"{public} exists already; choose another name")
    key = keys.new_private_key()
    _create(path, keys.private_pem(key, passphrase.encode() or None), PRIVATE_MODE)
    _create(public, keys.public_pem(key.public_key()), 0o644)
    return public, keys.fingerprint(key.public_key())


def _create(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet, so that nobody else ever had it open."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConflictError(f"{path} exists already; choose another name") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
