"""The card of a fine-tuned model, drafted from what is known: nothing in it is made up.

https://huggingface.co/docs/hub/model-cards#model-card-metadata; `model-index` is its older form of
evaluation results, which hubs still read.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cairn.domain.finetuning import ADAPTERS, FineTuning

if TYPE_CHECKING:
    from cairn.workflows.finetune_work import Place

_LICENCE_KEYS = ("license", "license_name", "license_link")
# Metrics that the hub's list knows, by the names that tasks give them.
_METRICS = (*("accuracy", "f1", "precision", "recall", "perplexity", "exact_match", "wer", "cer"),)


def drafted_card(
    recipe: FineTuning,
    base: "Place",
    data: "Place",
    told: Mapping[str, Any],
    texts: Sequence[str],
) -> str:
    """A README.md with the metadata of the hub, and what people need to check before they rely.

    `texts` are the files with terms and notices of the base that lie beside it.
    """
    terms = _terms(base.path)
    front = yaml.safe_dump(
        _metadata(recipe, base, data, told, terms), sort_keys=False, allow_unicode=True
    )
    body = "\n\n".join(_paragraphs(recipe, base, data, told, terms, texts))
    return f"---\n{front}---\n\n{body}\n"


def _metadata(
    recipe: FineTuning,
    base: "Place",
    data: "Place",
    told: Mapping[str, Any],
    terms: Mapping[str, Any],
) -> dict[str, Any]:
    measured = _measured(told)
    found: dict[str, Any] = {"library_name": told["library"], "pipeline_tag": recipe.task.value}
    if base.repo:
        is_adapter = recipe.method in ADAPTERS
        found["base_model"] = base.repo
        found["base_model_relation"] = "adapter" if is_adapter else "finetune"
    if data.repo:
        found["datasets"] = [data.repo]
    found |= terms
    found["tags"] = ["cairn", *([recipe.method.value] if recipe.method in ADAPTERS else [])]
    metrics = [name for name in _METRICS if name in measured]
    if measured:
        found["metrics"] = metrics
        found["model-index"] = [
            {
                "name": told["name"],
                "results": [
                    {
                        "task": {"type": recipe.task.value},
                        "dataset": {"name": data.repo or data.name, "type": data.repo or "local"},
                        "metrics": [
                            {"type": name, "name": name, "value": round(value, 6)}
                            for name, value in measured.items()
                        ],
                    }
                ],
            }
        ]
    return found


def _measured(told: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of the held-out samples under their plain names."""
    return {name.removeprefix("eval_"): value for name, value in told["measured"].items()}


def _terms(base: Path) -> dict[str, Any]:
    """What the card of the base says of its licence."""
    from cairn.workflows.cards import parse_card

    card = base / "README.md"
    if not card.is_file():
        return {}
    said = parse_card(card.read_text("utf-8", "replace")).data
    return {key: said[key] for key in _LICENCE_KEYS if said.get(key)}


def _paragraphs(
    recipe: FineTuning,
    base: "Place",
    data: "Place",
    told: Mapping[str, Any],
    terms: Mapping[str, Any],
    texts: Sequence[str],
) -> Iterator[str]:
    origin = f"`{base.repo or Path(base.name).name}`"
    yield f"# {told['name']}"
    yield (
        f"{origin}, fine-tuned for {recipe.task.value} by the method `{recipe.method.value}`."
        " This card was drafted by Cairn from what the run recorded: say what the model is for,"
        " and where it should not be used."
    )
    empty = told["empty"]
    nothing = f" Of all rows, {empty:,} had no text where one is wanted." if empty else ""
    yield "## Data"
    yield (
        f"{told['learnt']:,} {told['learnt_of']} of `{data.repo or Path(data.name).name}` were"
        f" learnt from.{nothing} Whose data these are, and under which terms, is not known here."
    )
    if told["classes"]:
        classes = ", ".join(f"{number} `{name}`" for number, name in enumerate(told["classes"]))
        yield f"Classes by number: {classes}."
    yield "## Evaluation"
    if measured := _measured(told):
        table = "\n".join(f"| {name} | {value:.4f} |" for name, value in measured.items())
        yield f"In {told['held_out']:,} {told['measured_in']}, at step {told['chosen_step']:,}:"
        yield f"| measure | value |\n|---|---|\n{table}"
    else:
        yield "Nothing was held out, so nothing was measured."
    yield "## How it was made"
    yield (
        f"{told['step']:,} steps on `{told['device']}`, {told['trained_parameters']:,} of"
        f" {told['parameters']:,} parameters trained. `recipe.json` has every setting, the digests"
        " of base and data, and the versions: `cairn finetune --recipe recipe.json` does it again."
    )
    yield "## Licence"
    yield _licence(terms, texts, is_adapter=recipe.method in ADAPTERS)
    if texts:
        files = "file" if len(texts) == 1 else "files"
        are = "is that" if len(texts) == 1 else "are those"
        yield (
            f"The {files} {', '.join(f'`{name}`' for name in texts)} {are} of the base, unchanged:"
            " keep them with this model. The weights were changed from the base's, as told above."
        )


def _licence(terms: Mapping[str, Any], texts: Sequence[str], *, is_adapter: bool) -> str:
    if not terms:
        where = "but has the text below: read" if texts else "and has no text of one: ask its owner"
        return (
            f"The base names no licence on its card, {where} before this model is published."
            " Without a licence nobody may pass on what was made from it."
        )
    name = terms.get("license_name") or terms.get("license")
    link = f" ([its text]({terms['license_link']}))" if terms.get("license_link") else ""
    whole = "This adapter is of no use without its base, and" if is_adapter else "This model"
    return (
        f"{whole} follows the licence that the card of the base names: `{name}`{link}. Whoever"
        " passes it on keeps to its terms: notices, attribution and limits of use as it has them."
        " The data may add terms of their own."
    )
