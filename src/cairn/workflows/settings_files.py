"""What files in YAML beside the weights say of the training: data, settings, results.

    hparams.yaml        Lightning's loggers: what a module was made with
    args.yaml           Ultralytics and timm: the arguments of the run
    model_config.yaml   NeMo, beside the weights or inside a .nemo file
    README.md           the front matter of a model card: data sets, base model, licence, results

Sources: https://lightning.ai/docs/pytorch/stable/common/checkpointing_basic.html,
https://docs.ultralytics.com/usage/cfg/, `save_restore_connector.py` in
https://github.com/NVIDIA/NeMo, https://huggingface.co/docs/hub/model-cards#model-card-metadata.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cairn.domain import Fact, Scalar, Source
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import Files
from cairn.formats.limits import MAX_YAML_CHARS
from cairn.formats.naming import printable
from cairn.formats.sources import read_exactly
from cairn.workflows.companions import shallowest
from cairn.workflows.front_matter import front_matter, opens_front_matter

MODEL_CARD = "README.md"
HYPER_PARAMETERS = "hparams.yaml"
ARGUMENTS = "args.yaml"
NEMO_SETTINGS = "model_config.yaml"
SETTINGS_FILES = (HYPER_PARAMETERS, ARGUMENTS, NEMO_SETTINGS, MODEL_CARD)
"""File names read for what they say of the training, the strongest statement first."""

RUN_ARGUMENTS = frozenset(
    (
        *("task", "mode", "model", "data", "dataset", "data_dir", "epochs", "batch", "batch_size"),
        *("imgsz", "optimizer", "opt", "lr0", "lrf", "lr", "momentum", "weight_decay", "seed"),
        *("warmup_epochs", "cos_lr", "sched", "dropout", "drop", "amp", "pretrained", "resume"),
        *("freeze", "patience", "fraction", "single_cls", "mixup", "mosaic", "smoothing"),
    )
)
"""Of the hundred arguments of a run of Ultralytics or timm, those people compare runs by."""

_NEMO_SECTIONS = ("train_ds", "validation_ds", "optim", "trainer")
_CARD_TEXTS = ("datasets", "base_model", "license", "metrics")
# What settings call the data set and the planned number of epochs.
_SAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "datasets",
        (
            *("args.data", "args.dataset", "args.data_dir", "train_ds.manifest_filepath"),
            *("train_ds.data_dir", "train_ds.tarred_audio_filepaths", "train_ds.file_path"),
            *(
                f"hyper_parameters.{key}"
                for key in ("dataset", "dataset_name", "datasets", "data", "data_dir", "data_path")
            ),
        ),
    ),
    (
        "num_train_epochs",
        (
            *("args.epochs", "trainer.max_epochs"),
            *(f"hyper_parameters.{k}" for k in ("max_epochs", "num_epochs", "epochs", "n_epochs")),
        ),
    ),
)
_MAX_SETTINGS = 50
_MAX_RESULTS = 20
_MAX_TEXT = 300


def settings_in(files: Files, unread: dict[str, str]) -> dict[str, Fact]:
    """What the YAML files say, each with its file and key.

    Files that cannot be read are entered in `unread` with the reason.
    """
    found: dict[str, Fact] = {}
    for name in SETTINGS_FILES:
        path = shallowest(files, name)
        if path is None:
            continue
        with files[path].open() as source:
            try:
                for key, fact in _said(name, path, source):
                    found.setdefault(key, fact)
            except UntrustedDataError as error:
                unread[path] = str(error)
    return found


def nemo_settings(path: str, settings: Mapping[str, Scalar]) -> Iterator[tuple[str, Fact]]:
    """What the settings of a NeMo model say of its training; they are those of `path`."""
    chosen = [key for key in settings if key.partition(".")[0] in _NEMO_SECTIONS]
    for key in chosen[:_MAX_SETTINGS]:
        if settings[key] is not None:
            yield key, Fact(settings[key], f"{path}: {key}")


def run_arguments(path: str, settings: Mapping[str, Scalar]) -> Iterator[tuple[str, Fact]]:
    """The arguments of a run that people compare runs by."""
    for key, value in settings.items():
        if key in RUN_ARGUMENTS and value is not None:
            yield f"args.{key}", Fact(value, f"{path}: {key}")


def with_common_names(found: Mapping[str, Fact]) -> dict[str, Fact]:
    """The facts, and under one name what frameworks call otherwise: data set, planned epochs."""
    common = dict(found)
    for name, spellings in _SAME:
        stated = next((found[key] for key in spellings if key in found), None)
        if stated is not None and (name not in found or _is_of_a_card(found[name])):
            common[name] = stated
    return common


def _is_of_a_card(fact: Fact) -> bool:
    """What somebody wrote by hand gives way to what the run itself noted."""
    return MODEL_CARD in fact.evidence


def _said(name: str, path: str, source: Source) -> Iterator[tuple[str, Fact]]:
    settings = _loaded(name, source)
    if settings is None:
        return
    # Where there is no YAML, listing a checkpoint needs the standard library alone.
    from cairn.formats.bounded_yaml import flat_settings

    if name == MODEL_CARD:
        yield from _of_card(path, settings)
        return
    flat = flat_settings(settings)
    if name == ARGUMENTS:
        yield from run_arguments(path, flat)
    elif name == NEMO_SETTINGS:
        yield from nemo_settings(path, flat)
    else:
        for key, value in list(flat.items())[:_MAX_SETTINGS]:
            yield f"hyper_parameters.{key}", Fact(value, f"{path}: {key}")


def _loaded(name: str, source: Source) -> dict[str, Any] | None:
    """The mapping in a file; None where a README has no front matter, or a file nothing."""
    is_card = name == MODEL_CARD
    if source.size_bytes > MAX_YAML_CHARS and not is_card:
        raise LimitError(
            f"{name} has {source.size_bytes} bytes, at most {MAX_YAML_CHARS} are read",
            source=source.name,
        )
    raw = read_exactly(source, 0, min(source.size_bytes, MAX_YAML_CHARS), name)
    text: str | None = raw.decode("utf-8", "replace")
    if is_card and text is not None:
        if not opens_front_matter(text):
            return None
        text = front_matter(text)
        if text is None:
            raise MalformedError("front matter is opened and not closed", source=source.name)
    assert text is not None
    from cairn.formats.bounded_yaml import load_yaml

    settings = load_yaml(text, name, tags=not is_card)
    if settings is None:
        return None
    if not isinstance(settings, dict):
        raise MalformedError(f"{name} is not a mapping of keys to values", source=source.name)
    return settings


# --- model cards ---------------------------------------------------------------------------


def _of_card(path: str, card: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for key in _CARD_TEXTS:
        told = _text(card.get(key))
        if told:
            yield key, Fact(told, f"{path}: {key}")
    results = list(_results(card.get("model-index")))[:_MAX_RESULTS]
    if results and not _text(card.get("metrics")):
        yield "metrics", Fact(_text([m for _, m, _ in results]), f"{path}: model-index")
    for data, metric, value in results:
        yield f"results.{data or 'unnamed data'}.{metric}", Fact(value, f"{path}: model-index")


def _results(index: Any) -> Iterator[tuple[str, str, Scalar]]:
    """Data set, metric and value of each result that a card lists."""
    for model in _dictionaries(index):
        for result in _dictionaries(model.get("results")):
            data = result.get("dataset")
            named = _text(data.get("name") or data.get("type")) if isinstance(data, dict) else ""
            for metric in _dictionaries(result.get("metrics")):
                kind, value = _text(metric.get("type") or metric.get("name")), metric.get("value")
                if kind and isinstance(value, (int, float, str)):
                    shown = printable(value, _MAX_TEXT) if isinstance(value, str) else value
                    yield named, kind, shown


def _dictionaries(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """One text or several as one; anything else says nothing."""
    items = value if isinstance(value, list) else [value]
    texts = dict.fromkeys(item.strip() for item in items if isinstance(item, str))
    return printable(", ".join(text for text in texts if text), _MAX_TEXT)
