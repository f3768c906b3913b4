"""The verb finetune: a base, data and a recipe become a folder that says how it was made.

The folder has what stock loaders load, `recipe.json`, `results.json` and a drafted card; below
`run` are the checkpoints, from which the same call goes on.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.domain import BaseModel, TrainingData
from cairn.errors import RequestError
from cairn.workflows.finetune_agent import agent_data
from cairn.workflows.finetune_card import drafted_card
from cairn.workflows.finetune_folder import (
    begin_folder,
    check_folder,
    check_place,
    command_of,
    weights_of,
)
from cairn.workflows.finetune_recipe import recipe_of, recipe_values
from cairn.workflows.finetune_settling import settled
from cairn.workflows.finetune_work import CARD, RESULTS, RUN, Work
from cairn.workflows.terms_files import copy_terms
from cairn.workflows.written import replacing

if TYPE_CHECKING:
    from cairn.training.finetuning import Finetuned, Story, Watcher
    from cairn.training.ranks import Ranks


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
        check_place(work)
        work = settled(work, watcher.said)
        check_folder(work)
        if results.is_file():  # without importing torch
            found: dict[str, Any] = json.loads(results.read_text("utf-8"))
            return found
        return _finetune(work, watcher, None)
    if work.is_of_agent:
        raise RequestError("an agent is trained by one process: start it without a launcher")
    from cairn.training.ranks import launched_ranks

    with launched_ranks(on_cpu=work.device == "cpu") as ranks:
        with ranks.agreeing():
            if ranks.is_first:
                check_place(work)
                work = settled(work, watcher.said, ranks.size)
                check_folder(work)
        recipe = recipe_of(ranks.shared(recipe_values(work.recipe)))
        work = replace(work, recipe=recipe)
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
    done = _trained_agent(work, watcher) if work.is_of_agent else _trained(work, watcher, ranks)
    told = {"name": work.out.absolute().name, **_told(done)}
    if not done.ended.is_interrupted and _is_first(ranks):
        terms = copy_terms(work.base.path, work.out)
        card = drafted_card(work.recipe, work.base, work.data, told, terms)
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

    weights = dict(weights_of(work.base.path))
    if _is_first(ranks):
        begin_folder(work, weights, digest)
    base = BaseModel(work.base.called, work.base.revision, weights)
    name = work.out.absolute().name
    return Story(work.out / RUN, name, base, data, digest, command_of(work))


def _told(done: "Finetuned") -> dict[str, Any]:
    """Values of JSON, which has no NaN: a measure that is no number is left out."""
    ended = asdict(done.ended)
    ended["measured"] = {n: value for n, value in ended["measured"].items() if math.isfinite(value)}
    rest = {name: value for name, value in asdict(done).items() if name != "ended"}
    return {**ended, **rest, "classes": list(done.classes)}
