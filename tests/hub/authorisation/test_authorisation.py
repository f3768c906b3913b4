"""Every route x every role x a public, a private and a gated repo, asked for real."""

from collections.abc import Iterator

import pytest

from cairn.domain import RepoId, RepoType
from tests.hub.authorisation.asking import prepared
from tests.hub.authorisation.table import Row, rows
from tests.hub.authorisation.world import VISIBILITIES, World, repo_named

# Datasets and spaces go through the same code: only what would show that they did not.
_OF_OTHER_KINDS = ("anonymous", "stranger", "session")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_everybody_gets_the_answer_that_the_table_says(world: World, row: Row) -> None:
    wrong = []
    for role, repo, visibility in cases(row):
        status = row.status[visibility][role]
        answer = prepared(world, row.name, role, repo).send(world, role)
        if answer.status_code != status:
            said = answer.headers.get("x-error-message", "")[:120]
            wrong.append(f"{role}, {repo}: {answer.status_code} instead of {status} {said}")
    assert not wrong, "\n".join(["", *wrong])


def cases(row: Row) -> Iterator[tuple[str, RepoId, str]]:
    """Role, repo and its visibility: one repo where the route is not about any."""
    for visibility in VISIBILITIES if row.names_repo else ("public",):
        for role, status in row.status[visibility].items():
            if role == "granted" and visibility == "public":
                assert status == row.status[visibility]["stranger"], "nothing was granted there"
            else:
                yield role, repo_named(visibility), visibility
    for kind in (RepoType.DATASET, RepoType.SPACE) if "REPO" in row.name else ():
        for role in _OF_OTHER_KINDS:
            yield role, repo_named("private", kind), "private"
