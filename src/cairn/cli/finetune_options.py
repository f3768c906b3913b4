"""The options of `cairn finetune` that a recipe keeps, named as it names them."""

from collections.abc import Callable
from typing import Any

import click

from cairn.cli.options import OneOf
from cairn.domain.finetuning import AUTO_BATCH, Method, Precision, Schedule, TaskName
from cairn.errors import RequestError

WHOLE, SHARE = click.IntRange(1), click.FloatRange(0, 1, max_open=True)


class Columns(click.ParamType[dict[str, str]]):
    """`role=column,role=column`."""

    name = "role=column"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """See `click.ParamType.convert`."""
        del param, ctx
        if isinstance(value, dict):
            return value
        pairs = [one.partition("=") for one in str(value).split(",")]
        if any(not role or not column for role, _, column in pairs):
            raise RequestError(f"{value!r} does not say role=column, as in text=review,label=stars")
        return {role.strip(): column.strip() for role, _, column in pairs}


class BatchSize(click.ParamType[int]):
    """A number, or `auto`."""

    name = "rows|auto"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See `click.ParamType.convert`."""
        return AUTO_BATCH if value == "auto" else int(WHOLE(value, param, ctx))


# Option, its type, and what it does; defaults are those of the recipe.
_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--task", OneOf(TaskName), "What to learn (default: what the base says)."),
    ("--method", OneOf(Method), "What of it is trained (default: lora)."),
    ("--eval-data", str, "Measure with these data, and hold nothing out."),
    ("--columns", Columns(), "Which columns are which, as in text=review,label=stars."),
    ("--held-out", SHARE, "The share of rows to measure with (default: 0.1)."),
    ("--epochs", float, "How often every row is learnt from (default: 3)."),
    ("--steps", WHOLE, "How many steps, whatever the epochs."),
    ("--batch-size", BatchSize(), "Rows of a forward pass, or auto: as many as fit (default: 8)."),
    ("--accumulate", WHOLE, "Batches of a step (default: 1)."),
    ("--learning-rate", float, "The highest (default: by method, task and size of the base)."),
    ("--schedule", OneOf(Schedule), "How the rate goes down (default: linear)."),
    ("--warmup", SHARE, "The share of steps in which it goes up (default: 0.06)."),
    ("--weight-decay", float, "Of matrices (default: 0.01)."),
    ("--clip", float, "The longest gradient; 0 for any (default: 1)."),
    ("--seed", int, "Of everything random (default: 0)."),
    ("--evaluate-every", WHOLE, "Measure after so many steps (default: once in an epoch)."),
    ("--save-every", WHOLE, "Save after so many steps too (default: when measuring)."),
    ("--patience", click.IntRange(0), "Stop after so many evaluations that bring nothing."),
    ("--max-length", WHOLE, "Most tokens of a text (default: 512, or what the model takes)."),
    ("--precision", OneOf(Precision), "Of the forward pass (default: auto)."),
    ("--rank", WHOLE, "Of adapters (default: 8)."),
    ("--alpha", float, "Scale of adapters (default: 16)."),
    ("--adapter-dropout", SHARE, "Dropout before adapters (default: 0.05)."),
)


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them; what is not given is None or empty."""
    command = click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="MODULE",
        help="Modules to adapt, by the end of their names (default: usual ones of the family).",
    )(command)
    command = click.option(
        "--gradient-checkpointing",
        is_flag=True,
        default=None,
        help="Less memory for more time.",
    )(command)
    for name, kind, told in reversed(_OPTIONS):
        command = click.option(name, type=kind, help=told)(command)
    return command
