"""`cairn finetune`: adapt a model to data, on the hardware there is."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import out as console_out
from cairn.cli.console import visible
from cairn.cli.finetune_options import recipe_options
from cairn.cli.finetune_progress import (
    as_bar,
    as_lines,
    is_first,
    print_line,
    print_results,
    said_as_line,
    said_as_words,
)
from cairn.cli.finetune_repos import Repos
from cairn.cli.interrupting import EXIT_INTERRUPTED, stoppable
from cairn.cli.options import EXISTING_FILE, LOCAL_PATH, as_json
from cairn.cli.run_push import at_hub, with_token
from cairn.domain import RepoType
from cairn.domain.finetuning import TaskName
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.workflows.finetune_work import Place, Work


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
@click.option(
    "--data-dir",
    type=LOCAL_PATH,
    help="Read repos from the hub kept in this folder (without --hub: CAIRN_DATA_DIR).",
)
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
    data_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Adapt a model to data: a folder comes out that stock loaders load.

    BASE is a folder, or a repo such as org/name@revision. Nothing of it is run, and weights are
    read from safetensors alone.

        cairn finetune org/model --task text-classification --data reviews.csv

    Ctrl-C saves and stops; the same command goes on, to the bit. Exits 130 after Ctrl-C.
    """
    from cairn.workflows.finetune import finetune as verb
    from cairn.workflows.finetune_recipe import read_made, read_recipe, recipe_of
    from cairn.workflows.finetune_tasks import task_for
    from cairn.workflows.finetune_work import Work, check_publishable

    said = {"base": base, "data": data, **options}
    given = {name: value for name, value in said.items() if value not in (None, (), {})}
    values = {**(read_recipe(file) if file else {}), **given}
    made = read_made(file) if file else {}
    kinds = ("base", "data", "eval_data")
    commits = {name: made.get(f"{name}_revision") for name in kinds if name not in given}
    for name, how in (("base", "BASE"), ("data", "--data")):
        if name not in values:
            raise RequestError(f"nothing says the {name}: give {how}, or --recipe")
    fetched = Repos(hub, token, data_dir)
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
        data_dir,
    )
    if target is not None:
        check_publishable(work)
    told = _run(work, verb, as_json=as_json)
    if told["is_interrupted"]:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if target is not None and is_first():
        commit = fetched.published(work, target)
        if as_json:
            print_line({"event": "published", "repo": target.full_name, "commit": commit})
        else:
            console_out().print(f"published as {visible(target.full_name)}, commit {commit}")


def _usual_folder(base: "Place", task: str, method: str) -> Path:
    name = base.repo or base.path.absolute().name
    return Path(f"{name.rpartition('/')[2]}-{task}-{method}")


def _run(work: "Work", verb: Callable[..., dict[str, Any]], *, as_json: bool) -> dict[str, Any]:
    from cairn.training.finetuning import Watcher

    with stoppable() as wait:
        shown = as_lines() if as_json else as_bar(work.out)
        said = said_as_line if as_json else said_as_words
        with shown if is_first() else nullcontext(lambda _: None) as told:
            results = verb(work, Watcher(told, lambda: wait(0), said))
    if not is_first():
        return results
    if as_json:
        print_line({"event": "ended", **results, "out": str(work.out)})
    else:
        print_results(results, work.out)
    return results
