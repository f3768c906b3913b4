"""The verb finetune: a base, data and a recipe become a folder that says how it was made.

The folder has what stock loaders load, `recipe.json`, `results.json` and a drafted card; below
`run` are the checkpoints, from which the same call goes on.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cairn
from cairn.domain import BaseModel, Digest, RecipeKind, TrainingData, TrainingRecipe
from cairn.domain.finetuning import ADAPTERS, FineTuning, TaskName
from cairn.errors import ConflictError, RequestError
from cairn.workflows.finetune_agent import agent_data, agent_file
from cairn.workflows.finetune_card import drafted_card
from cairn.workflows.finetune_recipe import (
    RECIPE,
    differences,
    read_made,
    read_recipe,
    recipe_values,
    write_recipe,
)
from cairn.workflows.written import replacing

if TYPE_CHECKING:
    from cairn.training.finetuning import Finetuned, Story, Watcher
    from cairn.training.ranks import Ranks

RUN, RESULTS, CARD = "run", "results.json", "README.md"
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Place:
    """A base or data set on this machine: where, what a recipe calls it, and its commit.

    `repo` is its name on a hub, None for what only lies here.
    """

    path: Path
    name: str
    repo: str | None = None
    revision: str | None = None

    @property
    def called(self) -> str:
        """Its repo, or the path as somebody gave it."""
        return self.repo or self.name


@dataclass(frozen=True, slots=True)
class Work:
    """What a fine-tuning works on and where it writes; `allow` as resuming a run takes it.

    `hub` is the address that the repos came from.
    """

    recipe: FineTuning
    base: Place
    data: Place
    eval_data: Place | None
    out: Path
    device: str = "auto"
    allow: Sequence[str] = ()
    hub: str | None = None


def finetune(work: Work, watcher: "Watcher") -> dict[str, Any]:
    """Train, or go on; returns what `results.json` says when training is over.

    Under `torchrun` every process calls this, and the first writes what comes out. Interrupted, the
    result has `"is_interrupted": True`, and nothing but the run is written.

    Raises:
        ConflictError: the folder is of another recipe.
        RequestError: base, data, task and method do not go together; a loss is not a number.
        InexactError: the run there would not go on to the bit. MissingExtraError.
    """
    results = work.out / RESULTS
    if not is_launched():
        _check_folder(work)
        if results.is_file():  # without importing torch
            found: dict[str, Any] = json.loads(results.read_text("utf-8"))
            return found
        return _finetune(work, watcher, None)
    if _is_agent(work):
        raise RequestError("an agent is trained by one process: start it without a launcher")
    from cairn.training.ranks import launched_ranks

    with launched_ranks(on_cpu=work.device == "cpu") as ranks:
        with ranks.agreeing():
            if ranks.is_first:
                _check_folder(work)
        kept = results.read_text("utf-8") if ranks.is_first and results.is_file() else None
        kept = ranks.shared(kept)
        if kept is not None:
            over: dict[str, Any] = json.loads(kept)
            return over
        return _finetune(work, watcher, ranks)


def is_launched() -> bool:
    """Whether this process is one of several that a launcher such as `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _finetune(work: Work, watcher: "Watcher", ranks: "Ranks | None") -> dict[str, Any]:
    done = _trained_agent(work, watcher) if _is_agent(work) else _trained(work, watcher, ranks)
    told = {"name": work.out.absolute().name, **_told(done)}
    if not done.ended.is_interrupted and _is_first(ranks):
        card = drafted_card(work.recipe, work.base, work.data, told)
        results = json.dumps(told, indent=1, allow_nan=False) + "\n"
        for name, text in ((CARD, card), (RESULTS, results)):  # the results last: it is over
            with replacing(work.out / name) as draft:
                draft.write(text.encode())
    return told


def _is_first(ranks: "Ranks | None") -> bool:
    return ranks is None or ranks.is_first


def _trained(work: Work, watcher: "Watcher", ranks: "Ranks | None") -> "Finetuned":
    from cairn.training.finetuning import finetune as train
    from cairn.training.rows import Data, open_data

    data = open_data(work.data.path)
    parts = [TrainingData(work.data.called, data.digest)]
    if work.eval_data is not None:
        measured = open_data(work.eval_data.path)
        parts.append(TrainingData(work.eval_data.called, measured.digest))
        both = hashlib.sha256(f"{data.digest} {measured.digest}".encode()).hexdigest()
        data = Data(data.rows, measured.rows, f"sha256:{both}")
    return train(
        work.recipe,
        work.base.path,
        data,
        _story(work, parts, data.digest, ranks),
        work.out,
        device=work.device,
        allow=work.allow,
        watcher=watcher,
        ranks=ranks,
    )


def _is_agent(work: Work) -> bool:
    return work.recipe.task is TaskName.REINFORCEMENT_LEARNING


def _trained_agent(work: Work, watcher: "Watcher") -> "Finetuned":
    from cairn.training.finetuning import finetune_agent

    environment = work.recipe.data
    digest = f"environment {environment}"
    story = _story(work, [TrainingData(environment)], digest, None)
    with tempfile.TemporaryDirectory(prefix="cairn-agent.") as folder:
        base = agent_data(work.base.path, Path(folder))
        return finetune_agent(work.recipe, base, story, work.out, allow=work.allow, watcher=watcher)


def _story(work: Work, data: Sequence[TrainingData], digest: str, ranks: "Ranks | None") -> "Story":
    """Begins the folder: what its run and recipe say."""
    from cairn.training.finetuning import Story

    weights = dict(_weights(work.base.path))
    if _is_first(ranks):
        work.out.mkdir(parents=True, exist_ok=True)
        write_recipe(work.out / RECIPE, work.recipe, _made(work, weights, digest))
    base = BaseModel(work.base.called, work.base.revision, weights)
    name = work.out.absolute().name
    return Story(work.out / RUN, name, base, data, digest, _started(work))


def check_publishable(work: Work) -> None:
    """Refuse to publish, before anything is trained, what nobody else could load.

    Raises:
        RequestError: it is an adapter of a base that only lies here.
    """
    if work.recipe.method in ADAPTERS and work.base.repo is None:
        raise RequestError(
            f"an adapter of {work.base.name}, which is on no hub, is of no use to others:"
            " push the base first and name its repo, or use --method full"
        )


def _check_folder(work: Work) -> None:
    """Refuse a folder that holds something else."""
    kept = work.out / RECIPE
    if not kept.is_file():
        if work.out.is_dir() and any(work.out.iterdir()):
            raise ConflictError(f"{work.out} holds other files: name an empty folder with --out")
        return
    other = differences(recipe_values(work.recipe), read_recipe(kept))
    if other:
        raise ConflictError(
            f"{work.out} is of a recipe with another {', '.join(other)}:"
            " name another folder with --out, or give the same options"
        )
    _check_base(work, read_made(kept))


def _check_base(work: Work, made: Mapping[str, Any]) -> None:
    """Refuse to go on with another base: what was learnt beside the one does not fit the other."""
    then = made.get("base_weights", {})
    now = {path: str(digest) for path, digest in _weights(work.base.path)}
    changed = [path for path in sorted({*then, *now}) if then.get(path) != now.get(path)]
    if not then or not changed:
        return
    others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    why, way = "", ""
    if work.base.repo is not None:
        why = f" (commit {made.get('base_revision')} then, {work.base.revision} now)"
        way = f", or go on from the commit of then: --recipe {work.out / RECIPE} without BASE"
    raise ConflictError(
        f"{work.out} was begun with other weights of {work.base.called}: {changed[0]}{others}"
        f" differ{why}: name another folder with --out{way}"
    )


def _started(work: Work) -> TrainingRecipe:
    """The command that goes on with the run, from the folder where it was first given."""
    run = work.out / RUN
    return TrainingRecipe(
        RecipeKind.BUILTIN,
        program="finetune",
        arguments=(
            *("finetune", "--recipe", str(work.out / RECIPE), "--out", str(work.out)),
            *(("--hub", work.hub) if work.hub else ()),
            *(("--device", work.device) if work.device != "auto" else ()),
        ),
        directory=os.path.relpath(Path.cwd(), run.resolve()),
        folder=str(run),
    )


def _made(work: Work, weights: Mapping[str, Digest], data_digest: str) -> dict[str, Any]:
    return {
        "base": work.base.called,
        "base_revision": work.base.revision,
        "base_weights": {path: str(digest) for path, digest in weights.items()},
        "data": work.data.called,
        "data_revision": work.data.revision,
        "eval_data_revision": work.eval_data.revision if work.eval_data else None,
        "data_digest": data_digest,
        "versions": dict(_versions()),
    }


def _weights(base: Path) -> Iterator[tuple[str, Digest]]:
    """The SHA-256 of every file with weights: lineage that does not depend on names."""
    agent = agent_file(base)
    for path in [agent] if agent else sorted(base.rglob("*.safetensors")):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = path.name if agent else path.relative_to(base).as_posix()
        yield name, Digest.sha256(digest)


def _versions() -> Iterator[tuple[str, str]]:
    yield "cairn", cairn.__version__
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # agents need no peft
            yield name, metadata.version(name)


def _told(done: "Finetuned") -> dict[str, Any]:
    """Values of JSON, which has no NaN: a measure that is no number is left out."""
    ended = asdict(done.ended)
    ended["measured"] = {n: value for n, value in ended["measured"].items() if math.isfinite(value)}
    rest = {name: value for name, value in asdict(done).items() if name != "ended"}
    return {**ended, **rest}
