"""`cairn finetune`: adapt a model to data, on the hardware there is."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import err, visible
from cairn.cli.console import out as console_out
from cairn.cli.finetune_options import recipe_options
from cairn.cli.interrupting import EXIT_INTERRUPTED, stoppable
from cairn.cli.options import EXISTING_FILE, LOCAL_PATH, as_json
from cairn.cli.run_push import at_hub, with_token
from cairn.cli.targets import LocalTarget, parse_repo, parse_target
from cairn.domain import RepoId, RepoType
from cairn.domain.finetuning import TaskName
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.domain.finetuning import FineTuning
    from cairn.training.finetuning import Progress
    from cairn.workflows.finetune import Place, Work


@click.command()
@click.argument("base", required=False)
@click.option(
    "--data", metavar="FILE_OR_REPO", help="What to learn from; for agents an environment's name."
)
@click.option("--out", type=LOCAL_PATH, help="The folder to write (default: BASE-TASK-METHOD).")
@click.option("--recipe", "file", type=EXISTING_FILE, help="Do again what this recipe.json says.")
@recipe_options
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps, auto.")
@click.option(
    "--allow",
    multiple=True,
    metavar="NAME",
    help="Go on although this differs from when the run was saved, such as `threads`.",
)
@click.option("--publish", metavar="ORG/NAME", help="Push what comes out to this repo of the hub.")
@at_hub
@with_token
@as_json
def finetune(
    base: str | None,
    data: str | None,
    out: Path | None,
    file: Path | None,
    device: str,
    allow: tuple[str, ...],
    publish: str | None,
    hub: str | None,
    token: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Adapt a model to data: a folder comes out that stock loaders load.

    BASE is a folder, or a repo such as org/name@revision. Nothing of it is run, and weights are
    read from safetensors alone.

        cairn finetune org/model --data reviews.csv --method lora

    Ctrl-C saves and stops; the same command goes on, to the bit. Exits 130 after Ctrl-C.
    """
    from cairn.workflows.finetune import Work, check_publishable
    from cairn.workflows.finetune import finetune as verb
    from cairn.workflows.finetune_recipe import read_made, read_recipe, recipe_of
    from cairn.workflows.finetune_tasks import task_for

    said = {"base": base, "data": data, **options}
    given = {name: value for name, value in said.items() if value not in (None, (), {})}
    values = {**(read_recipe(file) if file else {}), **given}
    made = read_made(file) if file else {}
    kinds = ("base", "data", "eval_data")
    commits = {name: made.get(f"{name}_revision") for name in kinds if name not in given}
    for name, how in (("base", "BASE"), ("data", "--data")):
        if name not in values:
            raise RequestError(f"nothing says the {name}: give {how}, or --recipe")
    fetched = _Repos(hub, token)
    target = None if publish is None else fetched.target(publish)
    found = fetched.place(values["base"], RepoType.MODEL, commits.get("base"))
    if found.path.is_file() and found.path.suffix != ".zip":
        raise RequestError(f"{values['base']} is a file: name the folder that it lies in")
    if "task" not in values:
        values["task"] = task_for(found.path)
    if values["task"] == TaskName.REINFORCEMENT_LEARNING:
        values.setdefault("method", "full")  # the only one
    recipe = recipe_of(values)
    eval_data = recipe.eval_data
    work = Work(
        recipe,
        found,
        fetched.data(recipe, commits.get("data")),
        None
        if eval_data is None
        else fetched.place(eval_data, RepoType.DATASET, commits.get("eval_data")),
        out or _usual_folder(found, recipe.task, recipe.method),
        device,
        allow,
        hub,
    )
    if target is not None:
        check_publishable(work)
    told = _run(work, verb, as_json=as_json)
    if told["is_interrupted"]:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if target is not None and _is_first():
        commit = fetched.published(work, target)
        if as_json:
            _print_line({"event": "published", "repo": target.full_name, "commit": commit})
        else:
            console_out().print(f"published as {visible(target.full_name)}, commit {commit}")


def _usual_folder(base: "Place", task: str, method: str) -> Path:
    name = base.repo or base.path.absolute().name
    return Path(f"{name.rpartition('/')[2]}-{task}-{method}")


class _Repos:
    """Turns what a command names into places on this machine."""

    def __init__(self, hub: str | None, token: str | None) -> None:
        self._hub = hub
        self._token = token

    def place(self, text: str, repo_type: RepoType, commit: str | None = None) -> "Place":
        """A folder or file here, or a repo: at `commit`, else at the revision that is named."""
        from cairn.workflows.fetching import fetch
        from cairn.workflows.finetune import Place

        target = parse_target(text)
        if isinstance(target, LocalTarget):
            return Place(target.path, text)
        repo, revision = target.repo_id, target.revision
        if repo_type is not repo.type is RepoType.MODEL:  # `--data org/name` is a data set
            repo = replace(parse_repo(repo.full_name), type=repo_type)
        hub = self._needed_hub(f"{text} is no file here")
        with self._shown(f"fetching {repo.full_name}"):
            found = fetch(repo, commit or revision, hub, self._token)
        return Place(found.folder, text, repo.full_name, found.commit)

    def data(self, recipe: "FineTuning", commit: str | None) -> "Place":
        """What is learnt from: rows, or an environment, which has a name and no files."""
        from cairn.workflows.finetune import Place

        if recipe.task is TaskName.REINFORCEMENT_LEARNING:
            return Place(Path(), recipe.data)
        return self.place(recipe.data, RepoType.DATASET, commit)

    def target(self, text: str) -> RepoId:
        """The model that is to be published."""
        self._needed_hub(f"{text} is a repo")
        return parse_repo(text)

    def published(self, work: "Work", repo: RepoId) -> str:
        from cairn.workflows.publishing import publish

        hub, recipe = self._needed_hub(repo.full_name), work.recipe
        with self._shown(f"publishing {repo.full_name}"):
            message = f"Fine-tune {work.base.called} for {recipe.task} ({recipe.method})"
            return publish(work.out, repo, hub, self._token, message)

    def _needed_hub(self, why: str) -> str:
        if not self._hub:
            raise RequestError(f"{why}: name its hub with --hub, or HF_ENDPOINT")
        return self._hub

    def _shown(self, what: str) -> AbstractContextManager[object]:
        return err().status(visible(what)) if sys.stderr.isatty() else nullcontext()


def _run(work: "Work", verb: Callable[..., dict[str, Any]], *, as_json: bool) -> dict[str, Any]:
    from cairn.training.finetuning import Watcher

    with stoppable() as wait:
        shown = _as_lines() if as_json else _as_bar(work.out)
        with shown if _is_first() else nullcontext(lambda _: None) as told:
            results = verb(work, Watcher(told, lambda: wait(0)))
    if not _is_first():
        return results
    if as_json:
        _print_line({"event": "ended", **results, "out": str(work.out)})
    else:
        _print(results, work.out)
    return results


def _is_first() -> bool:
    """Whether this process speaks for all that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _as_lines() -> "Iterator[Callable[[Progress], None]]":
    """Each step as a line of JSON."""
    from dataclasses import asdict

    yield lambda progress: _print_line({"event": "step", **asdict(progress)})


def _print_line(value: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    """JSON has no NaN: a number that is none is null."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _as_bar(folder: Path) -> "Iterator[Callable[[Progress], None]]":
    """A bar with loss and time left on a terminal, and a line for each evaluation anywhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = err()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(visible(folder.name), total=None, loss="")

        def told(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.step,
                loss="" if math.isnan(progress.loss) else f"{progress.loss:.4f}",
            )
            if progress.measured:
                said = {"loss": progress.loss, **progress.measured}
                numbers = (f"{n} {v:.4f}" for n, v in said.items() if not math.isnan(v))
                bar.console.print(f"step {progress.step}: {', '.join(numbers)}")

        yield told


def _print(results: Mapping[str, Any], folder: Path) -> None:
    console = console_out()
    place = visible(os.fspath(folder))
    if results["is_interrupted"]:
        err().print(
            f"stopped at step {results['step']} of {results['total']};"
            f" the same command goes on from {place}"
        )
        return
    numbers = ", ".join(
        f"{n.removeprefix('eval_')} {v:.4f}" for n, v in results["measured"].items()
    )
    console.print(
        f"{place}: step {results['chosen_step']} of {results['total']},"
        f" {results['trained_parameters']:,} of {results['parameters']:,} parameters trained"
    )
    if numbers:
        console.print(f"in {results['held_out']:,} {results['measured_in']}: {numbers}")
