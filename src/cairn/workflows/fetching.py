"""Repos of a hub as folders on this machine, fetched by the stock client into its cache."""

from dataclasses import dataclass
from pathlib import Path

from cairn.domain import RepoId, RepoType
from cairn.errors import (
    ForbiddenError,
    MissingExtraError,
    RepoNotFoundError,
    RevisionNotFoundError,
    UnavailableError,
)

# What a model is loaded from: no pickle is fetched, and no code.
_OF_MODELS = (
    *("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.zip"),
    *("README.md", "LICENSE*", "NOTICE*"),
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A revision of a repo: its files, and the commit it is."""

    folder: Path
    commit: str


def fetch(repo: RepoId, revision: str | None, hub: str, token: str | None) -> Fetched:
    """A model's configuration and safetensors, or all files of a data set.

    Raises:
        RepoNotFoundError, RevisionNotFoundError, ForbiddenError: the hub does not give it.
        UnavailableError: the hub does not answer. MissingExtraError: there is no client.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
        from huggingface_hub.errors import RevisionNotFoundError as NoRevision
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "fetching a repo needs huggingface_hub: pip install 'cairn-hub[train]'"
        ) from error
    name = repo.full_name
    try:
        folder = Path(
            snapshot_download(
                name,
                repo_type=repo.type.value,
                revision=revision,
                endpoint=hub,
                token=token or False,
                allow_patterns=list(_OF_MODELS) if repo.type is RepoType.MODEL else None,
            )
        )
    except GatedRepoError as error:
        raise ForbiddenError(f"{name} is gated: ask for access on {hub}") from error
    except RepositoryNotFoundError as error:
        raise RepoNotFoundError(f"{hub} has no {name} for this token") from error
    except NoRevision as error:
        raise RevisionNotFoundError(f"{name} has no revision {revision}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UnavailableError(f"{name} could not be fetched from {hub}: {error}") from error
    return Fetched(folder, folder.name)
