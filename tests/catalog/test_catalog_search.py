"""What a listing finds, for whom, in which order."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.catalog import CardSummary, Catalog, RepoQuery, RepoRecord
from cairn.catalog.search_index import document, query_words
from cairn.domain import ANONYMOUS, Account, Actor, OrgRole, RepoId, RepoType, Scope
from cairn.errors import RequestError
from tests.catalog.histories import new_repo


def names(catalog: Catalog, repo_type: RepoType = RepoType.MODEL, **conditions) -> set[str]:
    page = catalog.repos.search(RepoQuery(repo_type, **conditions))
    assert page.total == len(page.repos)
    return {repo.id.full_name for repo in page.repos}


@pytest.fixture
def shelf(catalog: Catalog) -> Catalog:
    described = {
        "sentence-transformers/all-MiniLM-L6-v2": CardSummary(
            "c", ("sentence-similarity", "region:us"), "sentence-similarity", "st", "apache-2.0"
        ),
        "Qwen/Qwen2.5-0.5B-Instruct": CardSummary("c", ("chat",), "text-generation", "tf", "mit"),
        "google/bert_base": CardSummary("c", ("Chat", "old"), "fill-mask", "tf", "mit"),
    }
    for name, card in described.items():
        catalog.repos.set_card(new_repo(catalog, name).uid, card)
    return catalog


SPELLINGS = [
    "minilm", "MiniLM", "all-MiniLM-L6-v2", "allminilml6v2", "mini", "mini lm", "l6", "v2",
    "all mini", "sentence-transformers/all-MiniLM-L6-v2", "sentence_transformers", "sim",
    "sentence transformers mini", "similarity", "ALL", "alL mINIlm l6 v",
]  # fmt: skip


def test_a_name_is_found_however_it_is_written(shelf: Catalog) -> None:
    for text in SPELLINGS:
        assert names(shelf, text=text) == {"sentence-transformers/all-MiniLM-L6-v2"}, text


def test_operators_are_words_like_others(shelf: Catalog) -> None:
    for text in ('"minilm" OR bert', "mini* lm AND x", "NOT bert", "-bert mini", "words:mini"):
        assert names(shelf, text=text) == set(), text


def test_all_words_must_match_and_only_the_last_as_a_prefix(shelf: Catalog) -> None:
    assert names(shelf, text="qwen instr") == {"Qwen/Qwen2.5-0.5B-Instruct"}
    assert names(shelf, text="instr qwen") == set()
    assert names(shelf, text="qwen bert") == set()
    assert names(shelf, text="qwen2") == {"Qwen/Qwen2.5-0.5B-Instruct"}
    assert names(shelf, text="chat ber") == {"google/bert_base"}
    assert len(names(shelf, text="  -/_ ")) == 3


def test_no_text_breaks_the_search(shelf: Catalog) -> None:
    for text in ("x\0", "\ud800", "'", '"', "*", "a:*", "NEAR(", "x' & 'y", "🤗"):
        for condition in ("author", "pipeline_tag", "library", "license"):
            assert names(shelf, **{condition: text}) == set()
        assert names(shelf, tags=(text,)) == set()
        names(shelf, text=text)


@given(st.text(max_size=200))
def test_query_words_are_plain_and_few(text: str) -> None:
    words = query_words(text)
    assert len(words) <= 16
    assert all(word.isalnum() and len(word) <= 64 for word in words)


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_document_holds_every_word_of_its_names_and_texts(name: str, other: str) -> None:
    words = document([name], [other]).split(" ")
    assert set(query_words(name)[:16]) | set(query_words(other)[:16]) <= {*words, ""}


def test_filters_must_all_hold(shelf: Catalog) -> None:
    assert names(shelf, tags=("chat",)) == {"Qwen/Qwen2.5-0.5B-Instruct", "google/bert_base"}
    assert names(shelf, tags=("CHAT", "old")) == {"google/bert_base"}
    assert names(shelf, tags=("license:mit", "fill-mask", "tf")) == {"google/bert_base"}
    assert names(shelf, tags=("none",)) == set()
    assert names(shelf, author="GOOGLE") == {"google/bert_base"}
    assert names(shelf, library="tf", license="mit", pipeline_tag="fill-mask") == {
        "google/bert_base"
    }
    assert names(shelf, text="bert", author="qwen") == set()
    assert names(shelf, RepoType.DATASET) == set()


def test_tuning_changes_no_answer(shelf: Catalog) -> None:
    before = shelf.repos.search(RepoQuery(RepoType.MODEL, text="b", tags=("tf",)))
    shelf.tune()
    assert shelf.repos.search(RepoQuery(RepoType.MODEL, text="b", tags=("tf",))) == before
    if shelf.database.is_sqlite:
        with shelf.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT count(*) FROM sqlite_stat1").scalar()
        assert rows


def test_a_new_card_replaces_tags_and_words(shelf: Catalog) -> None:
    repo = next(r for r in shelf.repos.search(RepoQuery(RepoType.MODEL, author="google")).repos)
    shelf.repos.set_card(repo.uid, CardSummary("d", ("fresh",)))
    assert names(shelf, tags=("old",)) == set()
    assert names(shelf, text="old") == set()
    assert names(shelf, tags=("fresh",)) == names(shelf, text="fresh") == {"google/bert_base"}
    shelf.repos.delete(repo.id)
    assert names(shelf, text="fresh") == set()


def test_private_repos_are_seen_by_their_own_only(catalog: Catalog) -> None:
    catalog.accounts.create_organisation("Acme")
    for name, private in (("ada/open", False), ("ada/own", True), ("Acme/inner", True)):
        new_repo(catalog, name, private=private)
    ada = Actor(catalog.accounts.get("ada"), Scope.READ)
    member = Actor(Account("bob", ""), Scope.READ, "", {"acme": OrgRole.READ})
    admin = Actor(Account("root", "", is_admin=True), Scope.READ)
    assert names(catalog) == {"ada/open"}
    assert names(catalog, viewer=ada) == {"ada/open", "ada/own"}
    assert names(catalog, viewer=member) == {"ada/open", "Acme/inner"}
    assert names(catalog, viewer=admin) == {"ada/open", "ada/own", "Acme/inner"}
    assert names(catalog, viewer=member, text="inner") == {"Acme/inner"}
    assert names(catalog, text="inner", author="acme") == set()


def test_facets_count_what_the_viewer_may_see(shelf: Catalog) -> None:
    repo_id = RepoId(RepoType.MODEL, "google", "bert_base")
    shelf.repos.update(repo_id, private=True)
    found = shelf.repos.facets(RepoType.MODEL, ANONYMOUS)
    assert found.pipeline_tags == {"sentence-similarity": 1, "text-generation": 1}
    assert found.licenses == {"apache-2.0": 1, "mit": 1}
    admin = Actor(Account("root", "", is_admin=True))
    found = shelf.repos.facets(RepoType.MODEL, admin)
    assert list(found.libraries.items()) == [("tf", 2), ("st", 1)]
    assert shelf.repos.facets(RepoType.SPACE, admin).licenses == {}


SORTS = ["lastModified", "createdAt", "downloads", "likes", "trendingScore"]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_join_into_the_whole_listing_in_order(catalog: Catalog, clock, sort: str) -> None:
    for number in range(7):
        repo = new_repo(catalog, f"ada/m{number}")
        catalog.repos.count_download(repo.id, (number * 5) % 3)  # ties too
        clock.advance(seconds=number % 2)
    catalog.repos.flush_downloads()
    whole = catalog.repos.search(RepoQuery(RepoType.MODEL, sort=sort)).repos
    for limit in (1, 2, 7, 100):
        seen: list[RepoRecord] = []
        cursor = None
        while len(seen) < 7:
            page = catalog.repos.search(
                RepoQuery(RepoType.MODEL, sort=sort, limit=limit, cursor=cursor)
            )
            assert (page.total, len(page.repos)) == (7, min(limit, 7 - len(seen)))
            seen += page.repos
            cursor = page.next_cursor
        assert cursor is None
        assert [repo.uid for repo in seen] == [repo.uid for repo in whole]
    assert len({repo.uid for repo in whole}) == 7
    keys = {
        "lastModified": lambda r: r.updated_at,
        "createdAt": lambda r: r.created_at,
        "downloads": lambda r: r.downloads,
        "likes": lambda r: r.likes,
        "trendingScore": lambda r: r.trending_score,
    }
    values = [keys[sort](repo) for repo in whole]
    assert values == sorted(values, reverse=True)


def test_a_repo_made_meanwhile_repeats_nothing_on_the_next_page(catalog: Catalog, clock) -> None:
    for number in range(4):
        new_repo(catalog, f"ada/m{number}")
        clock.advance(seconds=1)
    first = catalog.repos.search(RepoQuery(RepoType.MODEL, sort="createdAt", limit=2))
    new_repo(catalog, "ada/late")
    rest = catalog.repos.search(
        RepoQuery(RepoType.MODEL, sort="createdAt", limit=2, cursor=first.next_cursor)
    )
    assert [repo.id.name for repo in rest.repos] == ["m1", "m0"]


@pytest.mark.parametrize(
    "bad",
    [
        {"sort": "name"}, {"limit": 0}, {"limit": -1}, {"cursor": ""}, {"cursor": "x"},
        {"cursor": "é"}, {"cursor": "WzFd"}, {"cursor": "W10="}, {"cursor": "bnVsbA=="},
        {"cursor": "W" * 5000}, {"cursor": "WyJsaWtlcyIsIDEsIDFd"},
        # lastModified: "x", and a date without zone
        {"cursor": "WyJsYXN0TW9kaWZpZWQiLCAieCIsIDFd"},
        {"cursor": "WyJsYXN0TW9kaWZpZWQiLCAiMjAyNi0wMS0wMSIsIDFd"},
        # likes: 1e400, NaN, and an id of 2**70
        {"sort": "likes", "cursor": "WyJsaWtlcyIsIDFlNDAwLCAxXQ=="},
        {"sort": "likes", "cursor": "WyJsaWtlcyIsIE5hTiwgMV0="},
        {"sort": "likes", "cursor": "WyJsaWtlcyIsIDEsIDExODA1OTE2MjA3MTc0MTEzMDM0MjRd"},
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(catalog: Catalog, bad: dict) -> None:
    new_repo(catalog)
    with pytest.raises(RequestError):
        catalog.repos.search(RepoQuery(RepoType.MODEL, **bad))


def test_a_page_has_at_most_a_thousand_repos(catalog: Catalog, monkeypatch) -> None:
    monkeypatch.setattr("cairn.catalog.repo_search.MAX_LIMIT", 2)
    for number in range(3):
        new_repo(catalog, f"ada/m{number}")
    page = catalog.repos.search(RepoQuery(RepoType.MODEL, limit=10**9))
    assert (len(page.repos), page.total) == (2, 3)
    assert timedelta(0) == page.repos[0].created_at - page.repos[1].created_at
