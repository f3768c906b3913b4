"""`cairn verify org/name@revision`: what the hub kept here makes of a revision's signatures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.cli.console import out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import MAIN
from cairn.cli.revisions import KeptRevisions
from cairn.cli.targets import RepoTarget

if TYPE_CHECKING:
    from cairn.workflows.revision_proof import CheckedBundle, RevisionProof


def verify_revision(target: RepoTarget, data: Path | None, *, as_json: bool) -> None:
    """Print who signed the revision; the process ends with 1 if nobody who is trusted did."""
    from cairn.workflows.revision_proof import Verdict, prove

    house = open_hub(data)
    view = KeptRevisions(house).view(target.repo_id, target.revision or MAIN)
    proof = prove(house, view)
    if as_json:
        print_json({"schema": 1, "commit": view.revision.id, **_described(proof)})
    else:
        _print(proof, f"{target.repo_id} at {view.revision.id[:12]}")
    if proof.verdict is not Verdict.VERIFIED:
        sys.exit(1)


def _described(proof: "RevisionProof") -> dict[str, Any]:
    return {
        "verdict": proof.verdict.value,
        "signers": list(proof.signers),
        "signatures": [_bundle(one) for one in proof.signatures],
        "provenance": [{**_bundle(one), "builder": _builder(one)} for one in proof.provenance],
    }


def _bundle(one: "CheckedBundle") -> dict[str, Any]:
    return {
        "sha256": one.attachment.digest.hex,
        "verdict": one.verdict.value,
        "signer": one.signer,
        "reasons": list(one.reasons),
    }


def _builder(one: "CheckedBundle") -> str | None:
    if one.claim is None or one.claim.provenance is None:
        return None
    return one.claim.provenance.builder


def _print(proof: "RevisionProof", where: str) -> None:
    out().print(f"{visible(where)}: {proof.verdict.value}")
    for one in proof.signatures:
        _print_bundle(one, "signed by")
    for one in proof.provenance:
        _print_bundle(one, f"built by {_builder(one)}, states")


def _print_bundle(one: "CheckedBundle", what: str) -> None:
    out().print(f"  {one.verdict.value}: {visible(what)} {visible(one.signer)}")
    for reason in one.reasons:
        out().print(f"    {visible(reason)}")
