"""Files that have a loader open something that is not theirs."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.paths import climbs, is_absolute, is_address, is_share, leads_elsewhere
from cairn.scanner.rule import Rule

# Which base an adapter was trained on is said by such paths, too, by mistake.
_BY_MISTAKE = frozenset(
    (
        *("base_model_name_or_path", "pretrained_model_name_or_path", "tokenizer_file"),
        *("vocab_file", "merges_file", "spm_file", "sp_model_file"),
    )
)
# These open another file wherever it lies: there is no harmless use in a checkpoint.
_ALWAYS = frozenset(
    (
        *("Keras vocabulary", "HDF5 external link", "HDF5 external storage"),
        *("HDF5 virtual dataset", "tar device", "ONNX data behind a link out of the folder"),
    )
)


class References(Rule):
    """The file has a loader open another file or address.

    Weights and vocabularies may lie in files of their own beside a model. A path that climbs out
    of the folder, begins at the root or is an address, and a file that is a link out of it, make
    whoever loads the model read their own secrets into it, or tell somebody that they do
    (CVE-2024-27318, CVE-2025-12058, CVE-2026-1669). Put the file that is meant into the folder and
    name it without a path.
    """

    name: ClassVar[str] = "references"
    title: ClassVar[str] = "Points at what is not its own"
    about: ClassVar[tuple[type[Evidence], ...]] = (Reference,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a reference that leads elsewhere."""
        assert isinstance(evidence, Reference)
        target = evidence.target
        if evidence.via in _BY_MISTAKE:
            verdict = Verdict.SUSPICIOUS
        elif evidence.via in _ALWAYS or leads_elsewhere(target):
            verdict = Verdict.MALICIOUS
        else:
            return
        yield Finding(
            self.name,
            verdict,
            f"{evidence.via} points at {target}{_how(target)}",
            evidence.place,
            "Put the file it means into the same folder and name it there",
        )


def _how(target: str) -> str:
    if climbs(target):
        return ", which climbs out of the folder"
    if is_address(target):
        return ", an address"
    if is_share(target):
        return ", a folder of another machine"
    return ", an absolute path" if is_absolute(target) else ""
