"""Attaches a signature to a revision: only one that holds, for the files the revision has."""

from itertools import islice

from cairn.domain import Actor
from cairn.errors import IntegrityError
from cairn.provenance.signing import Standing, check_signature, read_bundle
from cairn.workflows.access import require_writer
from cairn.workflows.browse import View
from cairn.workflows.house import House
from cairn.workflows.revision_proof import (
    differences_of,
    revision_digests,
    signed_files,
    trusted_in,
)

SIGNATURE = "signature"
_NAMED = 5  # differences in a message


def attach_signature(house: House, actor: Actor, view: View, content: bytes) -> bool:
    """Keep a bundle that signs the files of this revision; False if it is there already.

    The signer need not be trusted yet: that is looked up whenever the revision is shown.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller may not write to the repo.
        MalformedError, LimitError, RequestError: the bundle cannot be read or compared.
        IntegrityError: it signs other files, or the signature is not that of its key.
        ConflictError: the revision has too many attachments.
    """
    require_writer(actor, view.repo.id.namespace)
    bundle = read_bundle(content, "the bundle")
    differences = differences_of(signed_files(bundle, "the bundle"), revision_digests(house, view))
    if not differences.is_none:
        named = "; ".join(islice(differences.sentences(), _NAMED))
        raise IntegrityError(
            f"the bundle signs other files than revision {view.revision.id} has: {named}"
        )
    trusted = trusted_in(house, view.repo.id.namespace)
    check = check_signature(bundle, trusted, house.clock())
    if check.standing is Standing.INVALID:
        raise IntegrityError(f"the bundle of {check.signer} is not valid: {check.reason}")
    return house.catalog.attachments.add(view.repo, view.revision.id, SIGNATURE, content, actor)
