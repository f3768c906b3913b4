"""The verb finetune: from base, data and recipe to a trained model in a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.domain.finetuning import ADAPTERS, FineTuning
from cairn.training.finetuning.bases import check_weights, quiet
from cairn.training.finetuning.devices import device_of, seed_everything
from cairn.training.finetuning.loop import Training
from cairn.training.finetuning.memory import enough_memory
from cairn.training.finetuning.methods import prepared
from cairn.training.finetuning.progress import Watcher
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.story import Ended, Story
from cairn.training.finetuning.tasks import Materials, task_of
from cairn.training.libraries import library
from cairn.training.ranks.group import Ranks
from cairn.training.rows import Data, Split, split
from cairn.training.seeds import sample_seed

AGENT = "agent.zip"


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came out: how training ended, what was learnt from and measured in, and of how many.

    `learnt` and `held_out` are counts of what `learnt_of` and `measured_in` say; `empty` counts
    rows without a text where one is wanted. `classes` are named in the order of their numbers.
    """

    ended: Ended
    learnt: int
    held_out: int
    learnt_of: str
    measured_in: str
    empty: int
    classes: Sequence[str]
    trained_parameters: int
    parameters: int
    library: str
    device: str


def finetune(
    recipe: FineTuning,
    base: Path,
    data: Data,
    story: Story,
    model_folder: Path,
    *,
    device: str = "auto",
    allow: Sequence[str] = (),
    watcher: Watcher | None = None,
    ranks: Ranks | None = None,
) -> Finetuned:
    """Train, going on with the run of `story`, and write the model when training is over.

    Where several `ranks` train, all of them call this, and share the batches of the recipe; the
    first one writes. `base` is a folder; an adapter calls it as the story does. `data.measured`
    holds the rows to measure with; without them the recipe's share is held out.

    Raises:
        RequestError: base, data, task and method do not go together; a loss is not a number;
            the device has too little memory.
        InexactError: the run there would not go on to the bit, and `allow` does not name why.
        MissingExtraError: a library is not installed.
    """
    ranks = ranks or Ranks()
    check_weights(base)
    place = device_of(device)
    measured = data.measured
    seed_everything(recipe.seed)
    with enough_memory(recipe, place):
        task = task_of(recipe.task)(Materials(base, recipe, data.rows, measured))
        model = prepared(task, story.base.where, story.base.revision).to(place)
    rows = task.rows
    sides = (
        Split(range(len(rows)), range(len(measured)))
        if measured is not None
        else split(rows, recipe.held_out, recipe.seed)
    )
    watcher = watcher or Watcher()
    if (said := task.said_of_rows()) and ranks.is_first:
        watcher.said(said)
    held_out = Samples(task, measured if measured is not None else rows, sides.held_out)
    training = Training(
        task,
        model,
        Samples(task, rows, sides.learnt, are_learnt=True),
        held_out if len(held_out) else None,
        place,
        ranks,
    )
    if ranks.size > 1:
        seed_everything(sample_seed(recipe.seed, 0, ranks.number))  # dropout of its own on each
    with enough_memory(recipe, place):
        ended = training.run(story, allow, watcher)
    if not ended.is_interrupted and ranks.is_first:
        model_folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            task.save(model, model_folder)
    is_adapter = recipe.method in ADAPTERS
    return Finetuned(
        ended,
        len(sides.learnt),
        len(sides.held_out),
        "rows",
        "rows that were held out",
        rows.count_empty(),
        tuple(task.class_names),
        sum(one.numel() for one in model.parameters() if one.requires_grad),
        sum(one.numel() for one in model.parameters()),
        "peft" if is_adapter and task.library_name == "transformers" else task.library_name,
        str(place),
    )


def finetune_agent(
    recipe: FineTuning,
    base: tuple[str, Mapping[str, Any], Path],
    story: Story,
    model_folder: Path,
    *,
    allow: Sequence[str] = (),
    watcher: Watcher | None = None,
) -> Finetuned:
    """The same for an agent of Stable-Baselines3, which learns from an environment.

    `base` is the name of its algorithm, its settings, and its weights as safetensors.

    Raises:
        RequestError: base, environment and method do not go together.
        InexactError: the run there would not go on to the bit. MissingExtraError.
    """
    library("stable_baselines3")
    from cairn.training.finetuning.agents import EPISODES, AgentBase, learn

    agent, ended = learn(recipe, AgentBase(*base), story, allow, watcher or Watcher())
    if not ended.is_interrupted:
        model_folder.mkdir(parents=True, exist_ok=True)
        agent.save(model_folder / AGENT)
    count = sum(one.numel() for one in agent.policy.parameters())
    return Finetuned(
        ended,
        ended.step,
        EPISODES,
        "steps of the environment",
        "episodes",
        0,
        (),
        count,
        count,
        "stable-baselines3",
        "cpu",
    )
