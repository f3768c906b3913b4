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
from torch import nn

from cairn.domain.finetuning import Method
from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.formats.strict_json import parse_json
from cairn.training.finetuning.heads import Heads, heads_of, is_in
from cairn.training.libraries import library

CONFIG, PIPELINE, ADAPTER = "config.json", "model_index.json", "adapter_config.json"
_SAFE = ".safetensors"
_PICKLED = frozenset((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"))
# Modules that are trained whole and so stay as they are, as libraries call them.
_HEADS = (
    *("classifier", "score", "pre_classifier", "pooler.dense", "lm_head", "proj_out"),
    *("class_labels_classifier", "bbox_predictor", "classification_head"),
)
# Files of which a tokenizer is read, by any library.
_TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "tekken.json")
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
        raise RequestError(f"{called(base)} is an adapter: fine-tune its base, or merge it before")
    raise RequestError(f"{called(base)} has neither {CONFIG} nor {PIPELINE}: it is no base")


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
        f"{called(base)} has no weights in safetensors, {found}:"
        " where it has others, convert it: cairn convert BASE FOLDER"
    )


def known_labels(base: Path) -> dict[str, int]:
    """The classes a base was trained for, by name; those that only have numbers are none."""
    said = config_of(base).get("label2id")
    if not isinstance(said, dict) or not all(isinstance(n, int) for n in said.values()):
        return {}
    return {} if all(name == f"LABEL_{number}" for name, number in said.items()) else dict(said)


def load_tokenizer(base: Path, **settings: Any) -> Any:
    """The tokenizer that lies beside a model.

    Raises:
        RequestError: none does; transformers would make one that knows no word.
    """
    if not any(next(base.glob(pattern), None) for pattern in _TOKENIZERS):
        raise RequestError(
            f"{called(base)} has no tokenizer: lay tokenizer.json and tokenizer_config.json of its"
            " origin beside the weights, or name a base that reads texts"
        )
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


def load_model(loader: str, base: Path, method: Method, **settings: Any) -> tuple[Any, Heads]:
    """A model in float32, and its heads; for QLoRA with matrices in 4 bits."""
    if method is Method.QLORA:
        settings["quantization_config"] = _four_bits()
    model, told = loaded(
        loader,
        base,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        **settings,
    )
    missing = (*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"]))
    heads = heads_of(model, missing)
    if method is Method.QLORA:
        _prepare_four_bits(model, heads)
    return model, heads


def _four_bits() -> Any:
    """NF4 with constants that are quantised too: Dettmers et al., 2023, arXiv:2305.14314."""
    library("bitsandbytes")
    return library("transformers").BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32,
        llm_int8_skip_modules=list(_HEADS),
    )


def _prepare_four_bits(model: nn.Module, heads: Heads) -> None:
    """Refuse what would not learn, and keep what is in 4 bits as it is.

    On some CPUs bitsandbytes lays matrices out anew when a model is measured, and what it puts
    back for training is not the same to the bit: a run that was stopped in between would differ.
    """
    for name, module in model.named_modules():
        if type(module).__name__ != "Linear4bit":
            continue
        if any(is_in(name, head) for head in heads.fresh):
            raise RequestError(f"{name} is new, and what is in 4 bits does not learn: use lora")
        module.support_avx512bf16_for_cpu = False


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
        raise RequestError(f"{called(base)} does not load as {kind.__name__}: {words}") from error


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
