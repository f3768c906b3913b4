"""Statements on how files were built: SLSA provenance, written and read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cairn.errors import MalformedError, RequestError
from cairn.provenance.signing import (
    BuildInput,
    BuildProvenance,
    InputRole,
    read_provenance,
    subject_digests,
)
from cairn.provenance.signing.statements import Statement, Subject, read_statement

DIGEST = "ab" * 32
FILES = {"config.json": DIGEST, "model.safetensors": "cd" * 32}
BUILT = BuildProvenance(
    builder="https://ci.example.org/train",
    build_type="urn:cairn:build",
    inputs=(
        BuildInput(InputRole.BASE, "https://hub.example.org/org/base", {"sha256": DIGEST}),
        BuildInput(InputRole.CODE, "git+https://example.org/code", {"gitCommit": "a" * 40}),
    ),
    parameters={"epochs": "3"},
    finished=datetime(2026, 11, 27, tzinfo=UTC),
)


def test_what_is_stated_is_read_back_from_its_bytes() -> None:
    statement = read_statement(BUILT.statement(FILES).as_bytes(), "s")
    assert read_provenance(statement, "s") == BUILT
    assert subject_digests(statement, "s") == FILES


def changed(part: str, **fields: Any) -> Statement:
    usual = BUILT.statement(FILES)
    predicate = {**usual.predicate, part: {**usual.predicate[part], **fields}}
    return Statement(usual.subjects, usual.predicate_type, predicate)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (changed("runDetails", builder={}), "builder.id"),
        (changed("runDetails", builder={"id": "me"}), "not a URI"),
        (changed("runDetails", metadata={"finishedOn": "soon"}), "RFC 3339"),
        (changed("runDetails", metadata={"startedOn": "2026-11-27T10:00:00"}), "RFC 3339"),
        (changed("runDetails", metadata={"startedOn": "0001-01-01T00:00:00+09:00"}), "RFC 3339"),
        (changed("buildDefinition", buildType=None), "buildType"),
        (changed("buildDefinition", externalParameters=[]), "externalParameters"),
        (changed("buildDefinition", resolvedDependencies={}), "resolvedDependencies"),
        (changed("buildDefinition", resolvedDependencies=[{"uri": "x:y"}]), "digest"),
        (
            changed("buildDefinition", resolvedDependencies=[{"uri": "x:y", "digest": {}}]),
            "give its place and a digest",
        ),
        (
            changed(
                "buildDefinition", resolvedDependencies=[{"uri": "x:y", "digest": {"sha256": "!"}}]
            ),
            "is no sha256",
        ),
        (
            changed(
                "buildDefinition",
                resolvedDependencies=[{"uri": "x" * 3000, "digest": {"sha256": DIGEST}}],
            ),
            "at most 2000",
        ),
    ],
)
def test_a_statement_that_lacks_what_it_must_have_is_refused(
    statement: Statement, words: str
) -> None:
    with pytest.raises(MalformedError, match=words):
        read_provenance(statement, "s")


def test_a_role_nobody_knows_is_another_one() -> None:
    statement = changed(
        "buildDefinition",
        resolvedDependencies=[
            {"name": "x", "digest": {"sha256": DIGEST}, "annotations": {"role": "spell"}}
        ],
    )
    (found,) = read_provenance(statement, "s").inputs
    assert (found.role, found.uri) == (InputRole.OTHER, "x")


@pytest.mark.parametrize(
    "subjects",
    [
        (Subject("a", {"sha1": "0" * 40}),),
        (Subject("a", {"sha256": DIGEST}), Subject("a", {"sha256": DIGEST})),
    ],
)
def test_subjects_need_a_sha256_and_a_name_of_their_own(subjects: tuple[Subject, ...]) -> None:
    with pytest.raises(MalformedError, match="sha256, or appears twice"):
        subject_digests(Statement(subjects, "t", {}), "s")


def test_an_input_without_a_digest_proves_nothing() -> None:
    with pytest.raises(RequestError, match="digest"):
        BuildInput(InputRole.BASE, "x:y", {})
