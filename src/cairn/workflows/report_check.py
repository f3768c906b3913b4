"""Checks a signed report of a reproduction: who signed it, and whether it is about a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cairn.errors import MalformedError
from cairn.provenance.signing import SignatureCheck, Standing, Trusted, check_signature
from cairn.provenance.signing.statements import Statement
from cairn.workflows.kept_runs import KeptRun
from cairn.workflows.reproduction_report import PREDICATE_TYPE, SCHEMA
from cairn.workflows.verifying import read_bundle_file


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """Who signed, what the report says, and whether its files are those of the run, if one is."""

    signature: SignatureCheck
    report: Mapping[str, Any]
    is_about_run: bool | None

    @property
    def is_verified(self) -> bool:
        """Whether somebody trusted says this, and of this run."""
        return self.signature.standing is Standing.TRUSTED and self.is_about_run is not False


def check_report(
    path: Path, trusted: Iterable[Trusted], at: datetime, run: KeptRun | None
) -> ReportCheck:
    """Check the bundle of a report; with a run, that it keeps the files the report is about.

    Raises:
        NotFoundError: there is no bundle. UntrustedDataError: it holds no such report.
    """
    bundle = read_bundle_file(path)
    said = bundle.statement
    if said.predicate_type != PREDICATE_TYPE or said.predicate.get("schema") != SCHEMA:
        raise MalformedError(
            f"a statement of type {said.predicate_type[:100]!r} is no report of a reproduction",
            source=path.name,
        )
    is_about_run = None if run is None else _is_about(said, run)
    return ReportCheck(check_signature(bundle, trusted, at), said.predicate, is_about_run)


def _is_about(said: Statement, run: KeptRun) -> bool:
    kept = {
        f"{step.folder}/{name}": digest
        for step in run.steps
        if not step.trouble
        for name, digest in (step.digests or {}).items()
    }
    return all(
        kept.get(subject.name) in {f"{kind}:{digits}" for kind, digits in subject.digests.items()}
        for subject in said.subjects
    )
