"""What a page says about the signatures of a revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cairn.hub.web.repo_view import RepoView
from cairn.hub.web.visit import Visit
from cairn.workflows.browse import View
from cairn.workflows.revision_proof import RevisionProof, RevisionSignature, Verdict, prove

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


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One signature as a page lists it."""

    css_class: str
    verdict: str
    signer: str
    reasons: Sequence[str]
    sender: str
    received_at: datetime
    link: str


@dataclass(frozen=True, slots=True)
class ProofView:
    """The badge of a revision, its sentence and its signatures."""

    css_class: str
    words: str
    sentence: str
    rows: Sequence[SignatureRow]


def proof_view(visit: Visit, repo: RepoView) -> ProofView | None:
    """What is proved of the revision shown; None while the repo is empty."""
    if repo.revision is None:
        return None
    proof = prove(visit.house, View(repo.record, repo.revision))
    record, commit = repo.record.id, repo.revision.id
    bundles = f"{visit.base}/api/cairn/{record.type.plural}/{record.full_name}/bundle"
    return ProofView(
        css_class=_CLASSES.get(proof.verdict, ""),
        words=_words(proof),
        sentence=_SENTENCES[proof.verdict],
        rows=[
            _row(one, f"{bundles}/{one.attachment.digest.hex}/{commit}") for one in proof.signatures
        ],
    )


def _words(proof: RevisionProof) -> str:
    if proof.verdict is Verdict.VERIFIED:
        return f"verified: {', '.join(proof.signers)}"
    return _WORDS[proof.verdict]


def _row(one: RevisionSignature, link: str) -> SignatureRow:
    return SignatureRow(
        _CLASSES.get(one.verdict, ""),
        _WORDS[one.verdict],
        one.signer,
        one.reasons[:MAX_REASONS],
        one.attachment.sender,
        one.attachment.received_at,
        link,
    )
