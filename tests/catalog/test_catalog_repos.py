"""Repos: made, changed, described, counted, deleted, each with its audit row."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from cairn.catalog import CardSummary, Catalog, ContentsSummary, RepoQuery, schema
from cairn.catalog.downloads import raised, score
from cairn.domain import RepoId, RepoType
from cairn.errors import ConflictError, NotFoundError, RepoNotFoundError, RequestError
from tests.catalog.histories import commit, model, new_repo, put


def test_a_repo_is_found_in_any_case_under_its_spelling(catalog: Catalog) -> None:
    catalog.accounts.create_organisation("Acme")
    made = catalog.repos.create(model("aCME/MiniLM"), private=True, sdk=None)
    assert made.id == model("Acme/MiniLM")
    assert catalog.repos.get(model("acme/minilm")) == made
    assert catalog.repos.get_by_uid(made.uid) == made
    assert (made.private, made.gated, made.head, made.described_commit) == (True, None, None, None)
    assert (made.default_ref, made.downloads, made.tags, made.card) == (
        "refs/heads/main",
        0,
        (),
        {},
    )


def test_names_differing_only_in_case_are_one_repo_per_type(catalog: Catalog) -> None:
    new_repo(catalog, "ada/Model")
    with pytest.raises(ConflictError):
        catalog.repos.create(model("ada/model"), private=True)
    dataset = catalog.repos.create(RepoId(RepoType.DATASET, "ada", "model"), private=False)
    assert catalog.repos.get(RepoId(RepoType.DATASET, "ADA", "Model")) == dataset


def test_a_repo_needs_a_namespace_that_exists(catalog: Catalog) -> None:
    with pytest.raises(NotFoundError):
        catalog.repos.create(model("nobody/x"), private=False)
    for call in (catalog.repos.get, catalog.repos.delete):
        with pytest.raises(RepoNotFoundError):
            call(model("nobody/x"))
    with pytest.raises(RepoNotFoundError):
        catalog.repos.update(model("nobody/x"), private=True)
    with pytest.raises(RepoNotFoundError):
        catalog.repos.get_by_uid("none")


def test_visibility_and_gate_change(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    changed = catalog.repos.update(repo.id, private=True, gated="manual")
    assert (changed.private, changed.gated) == (True, "manual")
    assert catalog.repos.update(repo.id, gated="off").gated is None
    assert catalog.repos.update(repo.id) == catalog.repos.get(repo.id)
    with pytest.raises(RequestError):
        catalog.repos.update(repo.id, gated="sometimes")


def test_every_change_of_standing_leaves_an_audit_row_that_outlives_the_repo(
    catalog: Catalog, clock
) -> None:
    repo = new_repo(catalog)
    clock.advance(minutes=1)
    catalog.repos.update(repo.id, private=True)
    catalog.repos.delete(repo.id)
    rows = catalog.audit.recent(3)
    assert [(r.action, r.repo, r.detail) for r in rows] == [
        ("repo.delete", "ada/model", ""),
        ("repo.visibility", "ada/model", "private"),
        ("repo.create", "ada/model", "public"),
    ]
    assert rows[0].at - rows[2].at == timedelta(minutes=1)


@pytest.mark.parametrize(
    "statement", [update(schema.audit).values(actor="x"), delete(schema.audit)]
)
def test_the_database_itself_refuses_to_change_audit_rows(catalog: Catalog, statement) -> None:
    new_repo(catalog)
    before = catalog.audit.recent()
    with pytest.raises(DBAPIError, match="never changed"), catalog.database.write() as connection:
        connection.execute(statement)
    assert catalog.audit.recent() == before


def test_a_failed_change_leaves_no_audit_row(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    before = catalog.audit.recent()
    with pytest.raises(ConflictError):
        catalog.repos.create(repo.id, private=False)
    with pytest.raises(RepoNotFoundError):
        catalog.repos.delete(model("ada/other"))
    assert catalog.audit.recent() == before


def test_commits_to_the_default_branch_make_a_repo_due_for_description(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    assert catalog.repos.repos_to_describe() == []
    when = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    head = commit(catalog, repo, put("a"), when=when)
    (due,) = catalog.repos.repos_to_describe(10)
    assert (due.uid, due.head, due.updated_at) == (repo.uid, head.id, when)
    catalog.history.create_ref(repo.uid, "refs/heads/dev", head.id)
    catalog.repos.set_card(repo.uid, CardSummary(head.id))
    assert [r.uid for r in catalog.repos.repos_to_describe()] == [repo.uid], "contents are missing"
    catalog.repos.set_contents(repo.uid, ContentsSummary(head.id))
    assert catalog.repos.repos_to_describe() == []
    commit(catalog, repo, put("b"), branch="refs/heads/dev")
    assert catalog.repos.repos_to_describe() == []
    assert catalog.repos.get(repo.id).updated_at == when
    commit(catalog, repo, put("c"))
    assert len(catalog.repos.repos_to_describe()) == 1


def test_a_description_comes_back_as_it_was_set(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    card = {
        "license": "mit",
        "released": date(2026, 1, 2),
        "n": [1, {"x": None}],
        "odd": "\0\ud800",
    }
    tags = ("PyTorch", "region:us", "PyTorch", "bad\0tag", "")
    catalog.repos.set_card(
        repo.uid, CardSummary(head.id, tags, "fill-mask", "transformers", "mit", card)
    )
    catalog.repos.set_contents(
        repo.uid,
        ContentsSummary(head.id, {"F32": 7, "BF16": 1 << 40}, ("safetensors",), 3, 1 << 41),
    )
    found = catalog.repos.get(repo.id)
    assert found.tags == ("PyTorch", "region:us", "badtag")
    assert (found.pipeline_tag, found.library_name) == ("fill-mask", "transformers")
    assert (found.license, found.described_commit) == ("mit", head.id)
    assert found.card == card | {"released": "2026-01-02"}
    assert found.parameters == {"F32": 7, "BF16": 1 << 40}
    assert (found.formats, found.tensor_count, found.size_bytes) == (("safetensors",), 3, 1 << 41)


def test_a_late_description_of_an_old_commit_does_not_undo_the_new_one(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    old = commit(catalog, repo, put("a", b"1"))
    new = commit(catalog, repo, put("a", b"2"))
    for summary in (CardSummary(new.id, ("new",)), CardSummary(old.id, ("old",))):
        catalog.repos.set_card(repo.uid, summary)
    catalog.repos.set_contents(repo.uid, ContentsSummary(new.id, size_bytes=2))
    catalog.repos.set_contents(repo.uid, ContentsSummary(old.id, size_bytes=1))
    found = catalog.repos.get(repo.id)
    assert (found.tags, found.size_bytes, found.described_commit) == (("new",), 2, new.id)
    assert catalog.repos.repos_to_describe() == []
    with pytest.raises(RepoNotFoundError):
        catalog.repos.set_card("none", CardSummary(new.id))
    with pytest.raises(RepoNotFoundError):
        catalog.repos.set_contents("none", ContentsSummary(new.id))


def test_downloads_are_seen_at_once_and_written_once(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    for _ in range(3):
        catalog.repos.count_download(repo.id)
    catalog.repos.count_download(model("ADA/Model"), 4)
    catalog.repos.count_download(model("ada/gone"))
    catalog.repos.count_download(repo.id, 0)
    assert catalog.repos.get(repo.id).downloads == 7
    catalog.repos.flush_downloads()
    catalog.repos.flush_downloads()
    with catalog.database.read() as connection:
        assert connection.execute(select(schema.repos.c.downloads)).scalar_one() == 7
    assert catalog.repos.get(repo.id).downloads == 7


def test_trending_weighs_a_download_half_after_a_week(catalog: Catalog, clock) -> None:
    old, new = new_repo(catalog, "ada/old"), new_repo(catalog, "ada/new")
    catalog.repos.count_download(old.id, 100)
    catalog.repos.flush_downloads()
    assert catalog.repos.get(old.id).trending_score == pytest.approx(100)
    clock.advance(days=14)
    catalog.repos.count_download(new.id, 30)
    catalog.repos.flush_downloads()
    assert catalog.repos.get(old.id).trending_score == pytest.approx(25)
    page = catalog.repos.search(RepoQuery(RepoType.MODEL, sort="trendingScore"))
    assert [repo.id for repo in page.repos] == [new.id, old.id]
    page = catalog.repos.search(RepoQuery(RepoType.MODEL, sort="downloads"))
    assert [repo.id for repo in page.repos] == [old.id, new.id]


def test_a_trending_score_is_the_decayed_sum_whatever_the_order_of_downloads() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stored, direct = 0.0, 0.0
    end = start + timedelta(days=100)
    for day in range(0, 100, 3):
        when = start + timedelta(days=day)
        stored = raised(stored, day + 1, when)
        direct += (day + 1) * 0.5 ** ((end - when) / timedelta(days=7))
    assert score(stored, end) == pytest.approx(direct)
    assert score(0.0, end) == 0.0
    assert score(stored, end + timedelta(days=36500)) == pytest.approx(0)
