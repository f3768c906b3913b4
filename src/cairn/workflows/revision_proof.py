"""What is proved of a revision: who signed its files, and whether the hub believes them.

Nothing of it is remembered: a signer who is trusted no more is not trusted on the next page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cairn.catalog import Attachment
from cairn.errors import RequestError, UntrustedDataError
from cairn.provenance.signing import (
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
    read_trusted,
)
from cairn.workflows.browse import View
from cairn.workflows.house import House

HUB_HASH = "sha256"


class Verdict(Enum):
    """What the signatures of a revision come to; the first that one of them gives counts."""

    VERIFIED = "verified"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class RevisionSignature:
    """One signature of a revision, who made it and what speaks against it."""

    attachment: Attachment
    verdict: Verdict
    signer: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RevisionProof:
    """The signatures of a revision, oldest first."""

    signatures: tuple[RevisionSignature, ...]

    @property
    def verdict(self) -> Verdict:
        """What they come to."""
        found = {one.verdict for one in self.signatures}
        return next((verdict for verdict in Verdict if verdict in found), Verdict.UNSIGNED)

    @property
    def signers(self) -> tuple[str, ...]:
        """Who is believed to have signed, each once."""
        verified = (one.signer for one in self.signatures if one.verdict is Verdict.VERIFIED)
        return tuple(dict.fromkeys(verified))


def revision_digests(house: House, view: View) -> dict[str, str]:
    """SHA-256 in hex of every file of a revision, by path."""
    entries = house.catalog.history.manifest(view.revision.tree).entries
    return {path: entry.blob.digest.hex for path, entry in entries.items()}


def trusted_in(house: House, namespace: str) -> list[Trusted]:
    """Whom the hub believes to sign in a namespace."""
    return [
        read_trusted(one.pem.encode(), one.name, one.identity)
        for one in house.catalog.trusted_signers.of(namespace)
    ]


def prove(house: House, view: View) -> RevisionProof:
    """Check every signature of a revision against its files and those whom the hub believes."""
    kept = house.catalog.attachments.of(view.repo.uid, view.revision.id)
    if not kept:
        return RevisionProof(())
    digests = revision_digests(house, view)
    trusted = trusted_in(house, view.repo.id.namespace)
    return RevisionProof(tuple(_checked(one, digests, trusted) for one in kept))


def signed_files(bundle: Bundle, source: str) -> SignedManifest:
    """What a bundle signs, if a hub can compare it: files hashed by SHA-256.

    Raises:
        MalformedError: it signs no model. RequestError: its files are hashed otherwise.
    """
    manifest = read_manifest(bundle.statement, source)
    if manifest.algorithm != HUB_HASH:
        raise RequestError(
            f"its files are hashed by {manifest.algorithm}; the hub compares {HUB_HASH}: sign again"
        )
    return manifest


def differences_of(manifest: SignedManifest, digests: Mapping[str, str]) -> Differences:
    """Where the files of a revision are not those that were signed."""
    return compare(manifest, FoundFiles(digests))


def _checked(
    kept: Attachment, digests: Mapping[str, str], trusted: list[Trusted]
) -> RevisionSignature:
    try:
        bundle = read_bundle(kept.content, "the bundle")
        differences = differences_of(signed_files(bundle, "the bundle"), digests)
    except (UntrustedDataError, RequestError) as error:
        return RevisionSignature(kept, Verdict.INVALID, "nobody", (str(error),))
    # The hub's own clock is the one time at which a certificate is known to have been used.
    check = check_signature(bundle, trusted, kept.received_at)
    if check.standing is Standing.INVALID or not differences.is_none:
        reasons = (*_reason(check), *differences.sentences())
        return RevisionSignature(kept, Verdict.INVALID, check.signer, reasons)
    verdict = Verdict.VERIFIED if check.standing is Standing.TRUSTED else Verdict.UNKNOWN
    return RevisionSignature(kept, verdict, check.signer, _reason(check))


def _reason(check: SignatureCheck) -> tuple[str, ...]:
    return (check.reason,) if check.reason else ()
