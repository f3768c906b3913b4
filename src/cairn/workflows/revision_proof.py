"""What is proved of a revision: who signed its files, who says how they were built.

Nothing of it is remembered: a signer who is trusted no more is not trusted on the next page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from cairn.catalog import Attachment
from cairn.errors import RequestError, UntrustedDataError
from cairn.provenance.signing import (
    PROVENANCE_TYPE,
    BuildProvenance,
    Bundle,
    FoundFiles,
    Standing,
    Trusted,
    check_signature,
    compare,
    read_bundle,
    read_manifest,
    read_provenance,
    read_trusted,
    subject_digests,
)
from cairn.workflows.browse import View
from cairn.workflows.house import House

HUB_HASH = "sha256"
SOURCE = "the bundle"  # what messages call it
MAX_REASONS = 20


class Verdict(Enum):
    """What the signatures of a revision come to; the first that one of them gives counts."""

    VERIFIED = "verified"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"


class BundleKind(Enum):
    """What a bundle says: these are the files, or this is how they were built."""

    SIGNATURE = "signature"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a bundle says of the files of a revision, and where they differ from that.

    `covered` files of the revision are named. `provenance` is None in a signature.
    """

    kind: BundleKind
    covered: int
    differences: tuple[str, ...]
    provenance: BuildProvenance | None = None


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """A bundle of a revision, who made it and what speaks against it.

    `claim` is None if it cannot be read.
    """

    attachment: Attachment
    verdict: Verdict
    signer: str
    reasons: tuple[str, ...] = ()
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class RevisionProof:
    """The signatures of a revision and what is said of its origin, oldest first."""

    signatures: tuple[CheckedBundle, ...] = ()
    provenance: tuple[CheckedBundle, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the signatures come to."""
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
        read_trusted(one.pem.encode(), one.name, one.identity, one.issuer)
        for one in house.catalog.trusted_signers.of(namespace)
    ]


def prove(house: House, view: View) -> RevisionProof:
    """Check every bundle of a revision against its files and those whom the hub believes."""
    kept = house.catalog.attachments.of(view.repo.uid, view.revision.id)
    if not kept:
        return RevisionProof()
    digests = revision_digests(house, view)
    trusted = trusted_in(house, view.repo.id.namespace)
    checked = [(one.kind, _checked(one, digests, trusted)) for one in kept]

    def of(kind: BundleKind) -> tuple[CheckedBundle, ...]:
        return tuple(one for kept_as, one in checked if kept_as == kind.value)

    return RevisionProof(of(BundleKind.SIGNATURE), of(BundleKind.PROVENANCE))


def claim_of(bundle: Bundle, digests: Mapping[str, str]) -> Claim:
    """What a bundle says of a revision whose files have these digests.

    Raises:
        MalformedError: it is neither a model signature nor provenance.
        RequestError: its files are not hashed by SHA-256.
    """
    if bundle.statement.predicate_type == PROVENANCE_TYPE:
        provenance = read_provenance(bundle.statement, SOURCE)
        named = subject_digests(bundle.statement, SOURCE)
        wrong = (path for path, digest in named.items() if digests.get(path) != digest)
        sentences = _few(f"not as it was built: {path}" for path in wrong)
        return Claim(BundleKind.PROVENANCE, len(named), sentences, provenance)
    manifest = read_manifest(bundle.statement, SOURCE)
    if manifest.algorithm != HUB_HASH:
        raise RequestError(
            f"its files are hashed by {manifest.algorithm}; the hub compares {HUB_HASH}: sign again"
        )
    differences = compare(manifest, FoundFiles(digests))
    return Claim(BundleKind.SIGNATURE, len(manifest.digests), _few(differences.sentences()))


def _few(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(sentences, MAX_REASONS))


def _checked(kept: Attachment, digests: Mapping[str, str], trusted: list[Trusted]) -> CheckedBundle:
    try:
        bundle = read_bundle(kept.content, SOURCE)
        claim = claim_of(bundle, digests)
    except (UntrustedDataError, RequestError) as error:
        return CheckedBundle(kept, Verdict.INVALID, "nobody", (str(error),))
    if claim.kind.value != kept.kind:
        return CheckedBundle(kept, Verdict.INVALID, "nobody", (f"it is no {kept.kind}",))
    # The hub's own clock is the one time at which a certificate is known to have been used.
    check = check_signature(bundle, trusted, kept.received_at)
    reasons = ((check.reason,) if check.reason else ()) + claim.differences
    if check.standing is Standing.INVALID or claim.differences:
        verdict = Verdict.INVALID
    elif check.standing is Standing.TRUSTED:
        verdict = Verdict.VERIFIED
    else:
        verdict = Verdict.UNKNOWN
    return CheckedBundle(kept, verdict, check.signer, reasons, claim)
