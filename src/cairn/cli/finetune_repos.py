"""What `cairn finetune` names, as places on this machine: folders, and repos of a hub."""

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.cli.console import err, visible
from cairn.cli.targets import LocalTarget, parse_repo, parse_target
from cairn.domain import RepoId, RepoType
from cairn.domain.finetuning import TaskName
from cairn.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from cairn.domain.finetuning import FineTuning
    from cairn.workflows.fetching import Fetched
    from cairn.workflows.finetune_work import Place, Work


class Repos:
    """Turns what a command names into places on this machine."""

    def __init__(self, hub: str | None, token: str | None, data_dir: Path | None) -> None:
        """`data_dir` holds the hub that is read where no address of one is given."""
        self._hub = hub
        self._token = token
        self._data_dir = data_dir

    def place(self, text: str, repo_type: RepoType, commit: str | None = None) -> "Place":
        """A folder or file here, or a repo: at `commit`, else at the revision that is named."""
        from cairn.workflows.finetune_work import Place

        target = parse_target(text)
        if isinstance(target, LocalTarget):
            return Place(target.path, text)
        repo, revision = target.repo_id, target.revision
        if repo_type is not repo.type is RepoType.MODEL:  # `--data org/name` is a data set
            repo = replace(parse_repo(repo.full_name), type=repo_type)
        found = self._fetched(repo, commit or revision, text)
        return Place(found.folder, text, repo.full_name, found.commit)

    def _fetched(self, repo: RepoId, revision: str | None, text: str) -> "Fetched":
        """From the hub at an address, else from the one that is kept here."""
        from cairn.cli.targets import open_kept
        from cairn.workflows.fetching import fetch

        if self._hub and self._data_dir is None:
            self._say(f"fetching {repo.full_name}")
            return fetch(repo, revision, self._hub, self._token)
        from cairn.config.folders import caches
        from cairn.workflows.kept_repos import kept_folder

        try:
            house, operator = open_kept(text, self._data_dir)
        except NotFoundError as error:
            raise RequestError(f"{error}; or name its hub with --hub, or HF_ENDPOINT") from None
        with self._shown(f"fetching {repo.full_name}"):
            return kept_folder(house, operator, repo, revision, caches() / "repos")

    def data(self, recipe: "FineTuning", commit: str | None) -> "Place":
        """What is learnt from: rows, or an environment, which has a name and no files."""
        from cairn.workflows.finetune_work import Place

        if recipe.task is TaskName.REINFORCEMENT_LEARNING:
            return Place(Path(), recipe.data)
        return self.place(recipe.data, RepoType.DATASET, commit)

    def target(self, text: str) -> RepoId:
        """The model that is to be published: there is a hub that knows the token."""
        from cairn.workflows.publishing import check_token

        repo = parse_repo(text)
        check_token(repo, self._needed_hub(f"{text} is a repo"), self._token)
        return repo

    def published(self, work: "Work", repo: RepoId) -> str:
        """The commit that has what came out."""
        from cairn.workflows.publishing import publish

        hub, recipe = self._needed_hub(repo.full_name), work.recipe
        self._say(f"publishing {repo.full_name}")
        message = f"Fine-tune {work.base.called} for {recipe.task} ({recipe.method})"
        return publish(work.out, repo, hub, self._token or "", message)

    def _needed_hub(self, why: str) -> str:
        if not self._hub:
            raise RequestError(f"{why}: name its hub with --hub, or HF_ENDPOINT")
        return self._hub

    def _say(self, what: str) -> None:
        """On a terminal, above the bars of the hub's client."""
        if sys.stderr.isatty():
            err().print(visible(what))

    def _shown(self, what: str) -> AbstractContextManager[object]:
        return err().status(visible(what)) if sys.stderr.isatty() else nullcontext()
