"""Bases as they lie in a folder: what they are, and how they are loaded without running them.

Weights come from safetensors alone. Code that a repo brings (`auto_map`) is never run: classes are
those of the libraries. https://huggingface.co/docs/transformers/main_classes/model
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cairn.errors import RequestError
from cairn.formats.strict_json import parse_json
from cairn.training.finetuning.heads import Heads, heads_of
from cairn.training.libraries import library

CONFIG, PIPELINE, ADAPTER = "config.json", "model_index.json", "adapter_config.json"
_SAFE = ".safetensors"
_PICKLED = frozenset((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"))
_NO_CODE = {"trust_remote_code": False}


def config_of(base: Path) -> dict[str, Any]:
    """What `config.json` or `model_index.json` says.

    Raises:
        RequestError: the folder is no base that transformers or diffusers would load.
    """
    for name in (CONFIG, PIPELINE):
        path = base / name
        if path.is_file():
            found = parse_json(path.read_bytes(), str(path), what="the configuration")
            return found if isinstance(found, dict) else {}
    if (base / ADAPTER).is_file():
        raise RequestError(f"{base.name} is an adapter: fine-tune its base, or merge it before")
    raise RequestError(f"{base.name} has neither {CONFIG} nor {PIPELINE}: it is no base")


def check_weights(base: Path) -> None:
    """Refuse a base whose weights would be unpickled.

    Raises:
        RequestError: it has no safetensors.
    """
    if any(base.rglob(f"*{_SAFE}")):
        return
    pickled = next((p.name for p in sorted(base.rglob("*")) if p.suffix in _PICKLED), None)
    found = f"only {pickled}, which could run code" if pickled else "none here"
    raise RequestError(
        f"{base.name} has no weights in safetensors, {found}:"
        " where it has others, convert it: cairn convert BASE FOLDER"
    )


def known_labels(base: Path) -> dict[str, int]:
    """The classes a base was trained for, by name; those that only have numbers are none."""
    said = config_of(base).get("label2id")
    if not isinstance(said, dict) or not all(isinstance(n, int) for n in said.values()):
        return {}
    return {} if all(name == f"LABEL_{number}" for name, number in said.items()) else dict(said)


def load_tokenizer(base: Path, **settings: Any) -> Any:
    """The tokenizer that lies beside a model."""
    return loaded("AutoTokenizer", base, **settings)


def load_part(kind: str, base: Path, folder: str) -> Any:
    """A part of a pipeline of diffusers: `kind` is module and class, `folder` where it lies."""
    module, _, name = kind.partition(".")
    weights = (base / folder / CONFIG).is_file()  # tokenizers and schedulers have none
    return _from_folder(
        getattr(library(module), name),
        base / folder,
        **({"use_safetensors": True, "torch_dtype": torch.float32} if weights else {}),
    )


def load_model(loader: str, base: Path, **settings: Any) -> tuple[Any, Heads]:
    """A model in float32, and its heads."""
    model, told = loaded(
        loader,
        base,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        **settings,
    )
    missing = (*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"]))
    return model, heads_of(model, missing)


def loaded(loader: str, base: Path, **settings: Any) -> Any:
    """What a class of transformers makes of a folder.

    Raises:
        RequestError: it does not take it; in its words.
    """
    return _from_folder(getattr(library("transformers"), loader), base, **_NO_CODE, **settings)


def _from_folder(kind: Any, base: Path, **settings: Any) -> Any:
    try:
        with quiet():
            return kind.from_pretrained(str(base), local_files_only=True, **settings)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        words = str(error).strip().partition("\n")[0]
        raise RequestError(f"{base.name} does not load as {kind.__name__}: {words}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars and reports that transformers prints: its errors are raised all the same."""
    told = library("transformers.utils.logging")
    before, has_bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of libraries to each other
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # which peft then sets itself
            warnings.filterwarnings("ignore", ".*base_model_name_or_path")  # which we then set
            yield
    finally:
        told.set_verbosity(before)
        if has_bars:
            told.enable_progress_bar()
