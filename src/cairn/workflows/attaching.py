"""Attaches a bundle to a revision: only one that holds, for the files the revision has."""

from collections.abc import Iterable

from cairn.domain import Actor
from cairn.errors import IntegrityError, LimitError
from cairn.provenance.signing import Standing, check_signature, read_bundle
from cairn.workflows.access import require_writer
from cairn.workflows.browse import View
from cairn.workflows.house import House
from cairn.workflows.revision_proof import SOURCE, claim_of, revision_digests, trusted_in

BASE_BYTES = 64 << 10  # certificates, parameters and inputs of a build
FILE_BYTES = 512


def attach_bundle(house: House, actor: Actor, view: View, content: bytes) -> bool:
    """Keep a signature of this revision, or what is said of its origin; False if it is there.

    The signer need not be trusted yet: that is looked up whenever the revision is shown.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller may not write to the repo.
        MalformedError, LimitError, RequestError: the bundle cannot be read or compared.
        IntegrityError: it is about other files, or the signature is not that of its key.
        ConflictError: the revision has too many attachments.
    """
    require_writer(actor, view.repo.id)
    kind = check_bundle(house, view, content)
    return house.catalog.attachments.add(view.repo, view.revision.id, kind, content, actor)


def check_bundle(house: House, view: View, content: bytes) -> str:
    """What sort of statement about these files a bundle is.

    Raises:
        MalformedError, LimitError, RequestError, IntegrityError: see `attach_bundle`.
    """
    digests = revision_digests(house, view)
    _check_size(content, digests)
    bundle = read_bundle(content, SOURCE)
    claim = claim_of(bundle, digests)
    if claim.differences:
        raise IntegrityError(
            f"the bundle is about other files than revision {view.revision.id} has:"
            f" {'; '.join(claim.differences)}"
        )
    trusted = trusted_in(house, view.repo.id.namespace)
    check = check_signature(bundle, trusted, house.clock())
    if check.standing is Standing.INVALID:
        raise IntegrityError(f"the bundle of {check.signer} is not valid: {check.reason}")
    return claim.kind.value


def _check_size(content: bytes, paths: Iterable[str]) -> None:
    """Refuse padding: every look at the revision's page reads all of its bundles.

    A path takes at most four bytes for each of its own, as escapes in base64; digest and
    punctuation of its resource take some 300.
    """
    limit = BASE_BYTES + sum(4 * len(path.encode()) + FILE_BYTES for path in paths)
    if len(content) > limit:
        raise LimitError(
            f"it has {len(content):,} bytes; for these files it may have {limit:,}",
            source=SOURCE,
        )
