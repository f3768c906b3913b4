"""Model cards: metadata that the hub checks, keeps and shows."""

from collections.abc import Callable

import pytest

from tests.compat.clients import LFS, XET, Client, Mode, add, raises


@pytest.fixture(params=[XET, LFS], ids=["xet", "lfs"])
def card_client(request: pytest.FixtureRequest, clients: Callable[[Mode], Client]) -> Client:
    """Clients whose cards can do without huggingface.co: 0.36 has them checked there, always."""
    return clients(request.param)


def test_metadata_is_updated_in_place(card_client: Client, name: str) -> None:
    client, repo = card_client, name
    client.api.create_repo(repo)
    client.api.create_commit(
        repo, [add("README.md", b"---\nlicense: mit\n---\n# Card\n")], commit_message="card"
    )
    client.hub.metadata_update(repo, {"tags": ["new"], "language": "en"})
    info = client.api.model_info(repo)
    assert (info.card_data.license, info.card_data.language) == ("mit", "en")
    assert "new" in info.tags
    with raises("ValueError"):
        client.hub.metadata_update(repo, {"license": "apache-2.0"})
    client.hub.metadata_update(repo, {"license": "apache-2.0"}, overwrite=True)
    assert client.api.model_info(repo).card_data.license == "apache-2.0"


def test_a_card_is_pushed_and_loaded_again(card_client: Client, name: str) -> None:
    card_client.api.create_repo(name)
    assert card_client.run(_push_card, name) == ["mit", "# A card\n"]


def _push_card(repo):
    from huggingface_hub import ModelCard

    card = ModelCard("---\nlicense: mit\ntags:\n- made-here\n---\n# A card\n")
    card.validate()
    card.push_to_hub(repo)
    loaded = ModelCard.load(repo)
    return [loaded.data.license, loaded.text]


@pytest.mark.parametrize(
    "metadata", ["license: [unclosed\n", "tags: 5\n", "- a list\n", "license: {a: b}\n"]
)
def test_a_card_that_makes_no_sense_is_refused_before_anything_is_committed(
    client: Client, repo: str, metadata: str
) -> None:
    before = client.api.model_info(repo).sha
    with raises("ValueError"):
        client.api.upload_file(
            path_or_fileobj=f"---\n{metadata}---\n# Card\n".encode(),
            path_in_repo="README.md",
            repo_id=repo,
        )
    assert client.api.model_info(repo).sha == before


def test_a_readme_without_metadata_is_fine(client: Client, repo: str) -> None:
    client.api.upload_file(path_or_fileobj=b"# Just text\n", path_in_repo="README.md", repo_id=repo)
    assert client.api.model_info(repo).id == repo
