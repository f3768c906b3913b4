"""A run in a repo of a hub at some address, through the hub's own client: huggingface_hub.

It sends files by Xet where both sides know that, else by LFS; a commit is there whole or not.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.domain import RepoId, RepoType
from cairn.errors import (
    CairnError,
    ConflictError,
    ForbiddenError,
    MissingExtraError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.formats import File, FileSource
from cairn.workflows.run_places import HUB, Content, PlacedFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ERRORS: dict[int, type[CairnError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    409: ConflictError,
    412: ConflictError,
}


class RemoteRun:
    """A run in a repo of models: `hub:org/name`."""

    def __init__(self, text: str, endpoint: str | None, token: str | None) -> None:
        """`endpoint` is the hub's address.

        Raises:
            NamingError: this names no repo. RequestError: no hub is named.
            MissingExtraError: the client is not installed.
        """
        self.repo_id = RepoId.parse(RepoType.MODEL, text.removeprefix(HUB))
        if not endpoint:
            raise RequestError(
                f"which hub is {text} on? Say it with --hub or HF_ENDPOINT, such as"
                " HF_ENDPOINT=http://localhost:8400"
            )
        self._api = _client(endpoint.rstrip("/"), token)
        self._repo = self.repo_id.full_name
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        """See `RunPlace.name`."""
        return f"{HUB}{self._repo}"

    def files(self) -> dict[str, PlacedFile]:
        """See `RunPlace.files`; those of the newest commit."""
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._told():
            try:
                commit = self._api.repo_info(self._repo).sha
                listed = list(self._api.list_repo_tree(self._repo, recursive=True, revision=commit))
            except RepositoryNotFoundError:
                return {}
        return {
            one.path: PlacedFile(
                File(one.size, partial(self._open, one.path, commit)),
                f"sha256:{one.lfs.sha256}" if one.lfs else f"git:{one.blob_id}",
            )
            for one in listed
            if isinstance(one, RepoFile)
        }

    def put(self, files: Mapping[str, Content], gone: Iterable[str], message: str) -> None:
        """See `RunPlace.put`: one commit; a repo that is not there is made, and private."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        added = [CommitOperationAdd(path, _handed(content)) for path, content in files.items()]
        removed = [CommitOperationDelete(path) for path in gone]
        with self._told():
            self._api.create_repo(self._repo, private=True, exist_ok=True)
            self._api.create_commit(
                self._repo,
                [*added, *removed],
                commit_message=f"Push {message}" if message else "Push record and curves",
            )

    @contextmanager
    def _open(self, path: str, commit: str | None) -> Iterator[FileSource]:
        with self._told():
            local = self._api.hf_hub_download(self._repo, path, revision=commit)
        with FileSource(Path(local), path) as source:
            yield source

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the client as our own."""
        # HTTPError is that of whichever library the client uses.
        from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            words = f"{self._endpoint}: {str(error).splitlines()[0]}"
            kind = UnavailableError if status >= 500 else _ERRORS.get(status, RequestError)
            raise kind(words) from error
        except FileNotFoundError:
            raise
        except (HTTPError, OSError, RuntimeError) as error:  # hf_xet has RuntimeError
            raise UnavailableError(f"{self._endpoint} does not answer: {error}") from error


def _client(endpoint: str, token: str | None) -> "HfApi":
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pushing to a hub needs its client: pip install 'cairn-hub[train]'"
        ) from error
    disable_progress_bars()
    return HfApi(endpoint=endpoint, token=token)


def _handed(content: Content) -> str | BytesIO:
    return BytesIO(content) if isinstance(content, bytes) else str(content)
