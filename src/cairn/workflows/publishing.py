"""Sends a fine-tuned model to a repo of a hub, by the stock client; its checkpoints stay here."""

from pathlib import Path

from cairn.domain import RepoId
from cairn.errors import RequestError
from cairn.workflows.fetching import answers_of_hub, hub_client, quiet_client

# The checkpoints, and what `cairn reproduce` trains beside them where nothing else is named.
_STAYS = ("run/**", "run-again/**", ".*")


def check_token(repo: RepoId, hub: str, token: str | None) -> None:
    """Refuse before training what could not be published after it.

    Raises:
        RequestError: there is no token. UnauthenticatedError: the hub does not know it.
        UnavailableError: the hub does not answer. MissingExtraError: there is no client.
    """
    client = hub_client()
    if not token:
        raise RequestError(f"{repo.full_name} is written to with a token: give --token or HF_TOKEN")
    with answers_of_hub(repo, hub):
        client.HfApi(endpoint=hub, token=token).whoami()


def publish(folder: Path, repo: RepoId, hub: str, token: str, message: str) -> str:
    """Make the repo if there is none, and one commit of the folder; returns the commit's id.

    Raises:
        UnauthenticatedError, ForbiddenError: the token may not write there.
        UnavailableError: the hub does not answer. MissingExtraError: there is no client.
    """
    client = hub_client()
    with answers_of_hub(repo, hub), quiet_client():
        api = client.HfApi(endpoint=hub, token=token)
        api.create_repo(repo.full_name, repo_type=repo.type.value, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo.full_name,
            repo_type=repo.type.value,
            folder_path=str(folder),
            commit_message=message,
            ignore_patterns=list(_STAYS),
        )
    return str(done.oid)
