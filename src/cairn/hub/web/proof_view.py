"""What a page says about who signed and who built a revision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from cairn.hub.web.repo_view import RepoView
from cairn.hub.web.visit import Visit
from cairn.hub.web.wording import moment
from cairn.workflows.browse import View
from cairn.workflows.revision_proof import CheckedBundle, Claim, RevisionProof, Verdict, prove

_CLASSES = {Verdict.VERIFIED: "current", Verdict.INVALID: "bad", Verdict.UNKNOWN: "warn"}
_WORDS = {
    Verdict.VERIFIED: "verified",
    Verdict.INVALID: "signature invalid",
    Verdict.UNKNOWN: "signer unknown",
    Verdict.UNSIGNED: "unsigned",
}
_SENTENCES = {
    Verdict.VERIFIED: "Signed by somebody this hub trusts; every file is as it was signed.",
    Verdict.INVALID: "A signature does not hold. Do not use these files before you know why.",
    Verdict.UNKNOWN: "Signed, by nobody whom this hub trusts to sign for this namespace.",
    Verdict.UNSIGNED: "Nobody has signed this revision.",
}
MAX_REASONS = 5
MAX_FACTS = 24
SHOWN_DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class BundleRow:
    """One bundle as a page lists it; `facts` are label, text and digest."""

    css_class: str
    verdict: str
    signer: str
    reasons: Sequence[str]
    sender: str
    received_at: datetime
    imported: bool
    link: str
    facts: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True, slots=True)
class ProofView:
    """The badge of a revision, its sentence, its signatures and what is stated of its origin."""

    css_class: str
    words: str
    sentence: str
    signatures: Sequence[BundleRow]
    origins: Sequence[BundleRow]


def proof_view(visit: Visit, repo: RepoView) -> ProofView | None:
    """What is proved of the revision shown; None while the repo is empty."""
    if repo.revision is None:
        return None
    proof = prove(visit.house, View(repo.record, repo.revision))
    record, commit = repo.record.id, repo.revision.id
    address = f"{visit.base}/api/cairn/{record.type.plural}/{record.full_name}/bundle"

    def rows(bundles: Sequence[CheckedBundle]) -> list[BundleRow]:
        return [_row(one, f"{address}/{one.attachment.digest.hex}/{commit}") for one in bundles]

    return ProofView(
        css_class=_CLASSES.get(proof.verdict, ""),
        words=_words(proof),
        sentence=_SENTENCES[proof.verdict],
        signatures=rows(proof.signatures),
        origins=rows(proof.provenance),
    )


def _words(proof: RevisionProof) -> str:
    if proof.verdict is Verdict.VERIFIED:
        return f"verified: {', '.join(proof.signers)}"
    return _WORDS[proof.verdict]


def _row(one: CheckedBundle, link: str) -> BundleRow:
    return BundleRow(
        css_class=_CLASSES.get(one.verdict, ""),
        verdict=_WORDS[one.verdict],
        signer=one.signer,
        reasons=one.reasons[:MAX_REASONS],
        sender=one.attachment.sender,
        received_at=one.attachment.received_at,
        imported=one.attachment.imported,
        link=link,
        facts=list(islice(_facts(one.claim), MAX_FACTS)),
    )


def _facts(claim: Claim | None) -> Iterator[tuple[str, str, str]]:
    if claim is None or claim.provenance is None:
        return
    built = claim.provenance
    yield "built by", built.builder, ""
    yield "recipe", built.build_type, ""
    if built.finished is not None:
        yield "finished", moment(built.finished), ""
    for one in built.inputs:
        yield one.role.value, one.uri, next(iter(one.digests.values()))[:SHOWN_DIGEST_CHARS]
    yield "files named", f"{claim.covered:,}", ""
