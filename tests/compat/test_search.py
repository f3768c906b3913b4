"""Finding repos: filters, search, order, pages."""

from collections.abc import Callable

import pytest

from tests.compat.clients import XET, Client, Mode, add

CARDS = {
    "find-bert-base": "license: mit\npipeline_tag: fill-mask\nlibrary_name: transformers\n"
    "tags: [findable, english]\nlanguage: en\ndatasets: [squad]\n",
    "find-bert-tuned": "license: apache-2.0\npipeline_tag: text-classification\n"
    "library_name: transformers\ntags: [findable]\nbase_model: alice/find-bert-base\n",
    "find-vision": "license: mit\npipeline_tag: image-classification\nlibrary_name: timm\n"
    "tags: [findable, vision]\n",
}


@pytest.fixture(scope="module", autouse=True)
def cards(clients: Callable[[Mode], Client]) -> None:
    """Three models that differ in what their cards say, made in this order."""
    api = clients(XET).api
    for name, card in CARDS.items():
        api.create_repo(f"alice/{name}")
        readme = f"---\n{card}---\n# {name}\n".encode()
        api.create_commit(f"alice/{name}", [add("README.md", readme)], commit_message="card")


def found(client: Client, **query: object) -> set[str]:
    """Names of alice's models of this module that a query finds."""
    models = client.api.list_models(**query)
    return {one.id.removeprefix("alice/") for one in models} & set(CARDS)


def test_models_are_found_by_author(client: Client) -> None:
    assert found(client, author="alice") == set(CARDS)
    assert found(client, author="bob") == set()


def test_models_are_found_by_words_of_their_name(client: Client) -> None:
    assert found(client, search="find-bert") == {"find-bert-base", "find-bert-tuned"}
    assert found(client, search="FIND-VISION") == {"find-vision"}
    assert found(client, search="no such words") == set()


def test_models_are_found_by_tags_that_all_must_match(client: Client) -> None:
    assert found(client, filter="findable") == set(CARDS)
    assert found(client, filter=["findable", "license:mit"]) == {"find-bert-base", "find-vision"}
    assert found(client, filter="vision") == {"find-vision"}
    assert found(client, filter="timm") == {"find-vision"}
    assert found(client, filter="fill-mask") == {"find-bert-base"}
    assert found(client, filter="dataset:squad") == {"find-bert-base"}
    assert found(client, filter="base_model:alice/find-bert-base") == {"find-bert-tuned"}


def test_models_are_found_by_task(client: Client) -> None:
    assert found(client, pipeline_tag="text-classification") == {"find-bert-tuned"}


def test_gated_models_are_found_by_that(client: Client, repo: str) -> None:
    client.api.update_repo_settings(repo, gated="auto")
    assert repo in [one.id for one in client.api.list_models(author="alice", gated=True)]
    assert repo not in [one.id for one in client.api.list_models(author="alice", gated=False)]


def test_models_are_ordered_by_time(client: Client) -> None:
    models = [
        m.id.removeprefix("alice/")
        for m in client.api.list_models(sort="last_modified", search="find-")
    ]
    assert [m for m in models if m in CARDS] == list(reversed(CARDS))
    for order in ("created_at", "downloads", "likes", "trending_score"):
        assert found(client, sort=order) == set(CARDS)


def test_a_limit_is_kept_and_pages_are_followed(client: Client) -> None:
    assert len(client.api.list_models(author="alice", limit=2)) == 2
    assert len(client.api.list_models(search="find-", limit=1)) == 1
    everything = [m.id for m in client.api.list_models()]
    assert len(everything) == len(set(everything)) >= 3


def test_a_listed_model_tells_what_is_asked_for(client: Client) -> None:
    [full] = client.api.list_models(search="find-vision", full=True, cardData=True)
    assert full.sha and full.siblings and full.card_data.license == "mit"
    assert (full.pipeline_tag, full.library_name) == ("image-classification", "timm")
    [some] = client.api.list_models(search="find-vision", expand=["tags", "downloads"])
    assert "vision" in some.tags and some.siblings is None


def test_datasets_and_spaces_are_listed_apart(client: Client, name: str) -> None:
    client.api.create_repo(name, repo_type="dataset")
    client.api.create_repo(name, repo_type="space", space_sdk="static")
    assert name in [one.id for one in client.api.list_datasets(author="alice")]
    assert name in [one.id for one in client.api.list_spaces(author="alice")]
    assert name not in [one.id for one in client.api.list_models(author="alice")]


def test_private_models_are_listed_for_their_owner_only(client: Client, name: str) -> None:
    client.api.create_repo(name, private=True)
    assert name in [one.id for one in client.api.list_models(author="alice")]
    nobody = client.with_token(None)
    assert name not in [one.id for one in nobody.api.list_models(author="alice")]
