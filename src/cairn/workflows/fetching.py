"""Repos of a hub as folders on this machine, fetched by the stock client into its cache."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from cairn.domain import RepoId, RepoType
from cairn.errors import (
    ForbiddenError,
    MissingExtraError,
    RepoNotFoundError,
    RevisionNotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.workflows.terms_files import PATTERNS

# What a model is loaded from: no code, and no pickle but an agent's, which nobody unpickles.
OF_MODELS = (
    *("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.zip"),
    *("README.md", *PATTERNS),
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A revision of a repo: its files, and the commit it is."""

    folder: Path
    commit: str


def fetch(repo: RepoId, revision: str | None, hub: str, token: str | None) -> Fetched:
    """A model's configuration and safetensors, or all files of a data set.

    Raises:
        RepoNotFoundError, RevisionNotFoundError, UnauthenticatedError, ForbiddenError: the hub
            does not give it. UnavailableError: the hub does not answer. MissingExtraError.
    """
    client = hub_client()
    with answers_of_hub(repo, hub), quiet_client():
        folder = client.snapshot_download(
            repo.full_name,
            repo_type=repo.type.value,
            revision=revision,
            endpoint=hub,
            token=token or False,
            allow_patterns=list(OF_MODELS) if repo.type is RepoType.MODEL else None,
        )
    return Fetched(Path(folder), Path(folder).name)


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep the client from printing its hints, and its bars where no terminal shows them."""
    tools, log = import_module("huggingface_hub.utils"), logging.getLogger("huggingface_hub")
    before = log.level
    hides = not sys.stderr.isatty() and not tools.are_progress_bars_disabled()
    log.setLevel(logging.ERROR)
    if hides:
        tools.disable_progress_bars()
    try:
        yield
    finally:
        log.setLevel(before)
        if hides:
            tools.enable_progress_bars()


def hub_client() -> Any:
    """The module `huggingface_hub`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "repos of a hub need huggingface_hub: pip install 'cairn-hub[train]'"
        ) from error


@contextmanager
def answers_of_hub(repo: RepoId, hub: str) -> Iterator[None]:
    """Errors of the client as those of this house."""
    errors = import_module("huggingface_hub.errors")
    name = repo.full_name
    try:
        yield
    except errors.GatedRepoError as error:
        raise ForbiddenError(f"{name} is gated: ask for access on {hub}") from error
    except errors.RevisionNotFoundError as error:
        raise RevisionNotFoundError(f"{hub} has no such revision of {name}") from error
    except errors.RepositoryNotFoundError as error:
        raise RepoNotFoundError(f"{hub} has no {name} for this token") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        words = str(error).strip().partition("\n")[0]
        if status == 401:
            raise UnauthenticatedError(f"{hub} does not know the token: {words}") from error
        if status == 403:
            raise ForbiddenError(f"{hub} does not allow it for {name}: {words}") from error
        raise UnavailableError(f"{hub} did not answer for {name}: {words}") from error
