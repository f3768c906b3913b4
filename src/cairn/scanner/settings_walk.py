"""Settings as a tree of plain values: what in them names code, templates, or files elsewhere.

`auto_map` and its like: https://huggingface.co/docs/transformers/custom_models. `modules.json`:
https://sbert.net/docs/sentence_transformer/usage/custom_models.html. `model_index.json`:
https://huggingface.co/docs/diffusers/using-diffusers/custom_pipeline_overview. `_target_`:
https://hydra.cc/docs/advanced/instantiate_objects/overview/. MLflow:
https://mlflow.org/docs/latest/ml/model/. Keras:
`keras_config` of `cairn.formats`. Skops: https://skops.readthedocs.io/en/stable/persistence.html.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from cairn.domain import Place
from cairn.errors import LimitError, UntrustedDataError
from cairn.scanner.encoded_texts import note_encoded
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.evidence.settings import KerasObject, NamedCode
from cairn.scanner.evidence.templates import TemplateUse
from cairn.scanner.paths import climbs, is_address, is_share, leads_elsewhere
from cairn.scanner.serialized_settings import SERIALIZED_KEY, enter_serialized
from cairn.scanner.trace import Trace

# Keys whose value, or every text below it, names code of the repo's own.
_CODE_KEYS = frozenset(
    (
        *("auto_map", "custom_pipelines", "custom_pipeline", "custom_generate", "_target_"),
        *("code_revision", "remote_code_repo"),
    )
)
# Keys whose value some loader imports by its dotted name, whatever package it is of: what matters
# is whether that could run something. LightningCLI, Hydra's forerunners, sentence-transformers.
_IMPORTED_KEYS = frozenset(
    ("class_path", "target", "activation_function", "activation_fn", "loss_fn", "callable", "func")
)
# Keys whose value is a module that peft imports, and a repo from which transformers takes kernels,
# which are Python and machine code. A name without a slash is one of transformers' own.
_LIBRARY_KEY = "parent_library"
_KERNEL_KEYS = ("_attn_implementation", "attn_implementation", "experts_implementation")
# numcodecs' codecs of Zarr that unpickle: https://numcodecs.readthedocs.io/en/stable/pickles.html
_CODEC_LISTS = ("filters", "compressor", "codecs")
_PICKLING_CODECS = ("pickle", "numcodecs.pickle")
# Of sentence-transformers: classes of modules by the ids that `structure` gives them.
_ROUTER = "router_config.json"
# Keys by which loaders find files of the same folder.
_WITHIN = frozenset(("weight_map", "serializedFile", "modelFile", "weights_file"))
# Keys that loaders follow, too, but where an absolute path mostly says where somebody trained.
_FOLLOWED = frozenset(
    (
        *("base_model_name_or_path", "pretrained_model_name_or_path", "tokenizer_file"),
        *("vocab_file", "merges_file", "spm_file", "sp_model_file"),
    )
)
# Layers of Keras that open the file their vocabulary names.
_VOCABULARY_KEYS = ("vocabulary", "idf_weights")
_TEMPLATE_WORDS = ("template", "prompt", "jinja")
# Of MLflow: modules that it imports, source and folders of source that it runs or puts on the path,
# and files that it opens.
MLFLOW_MODEL = "mlmodel"
_MLFLOW_CODE = ("loader_module", "keras_module", "pickle_module", "model_code_path", "code")
_MLFLOW_FILES = (
    *("pickled_model", "python_model", "model_path", "model_data", "data", "path"),
    *("model_binary", "saved_model_dir", "model_file"),
)
_PIPELINE_INDEX = "model_index.json"
_MOST_SHOWN = 300


def note_settings(root: Any, trace: Trace, *, file_name: str = "") -> None:
    """Note what a document's values name, each with its JSON pointer.

    `file_name` tells the index of a pipeline, which loaders know by it, from other settings.
    """
    for pointer, key, value in _walk(root):
        if isinstance(value, dict):
            _note_objects(pointer, value, trace)
        elif isinstance(value, list) and file_name == _PIPELINE_INDEX:
            _note_pair(pointer, value, trace)
        elif isinstance(value, str):
            if key == SERIALIZED_KEY:
                enter_serialized(value, pointer, trace)
            if file_name == _ROUTER and pointer.startswith("/types/"):
                trace.note(NamedCode(trace.at(pointer=pointer), "module", value[:_MOST_SHOWN]))
            if file_name == MLFLOW_MODEL:
                _note_mlflow(pointer, value, trace)
            _note_text(pointer, value, trace)
        elif key == "trust_remote_code" and _is_switched_on(value):
            trace.note(NamedCode(trace.at(pointer=pointer), key, "true"))


def note_template(text: str, pointer: str, trace: Trace) -> None:
    """Note what a template uses, or that it cannot be followed.

    Raises:
        LimitError: the file has more templates than are looked at.
    """
    trace.take_template(len(text))
    from cairn.scanner.template_syntax import read_template  # Jinja takes long to import

    try:
        template = read_template(text)
    except UntrustedDataError as error:
        trace.refuse(error)
        return
    _note_uses(template.uses, pointer, trace)
    for constant, line in template.texts:
        note_encoded(constant, trace.at(pointer=f"{pointer} line {line}".strip()), trace)
    try:
        excesses, steps = template.excesses(trace.template_steps)
    except LimitError as error:
        trace.template_steps = 0
        trace.refuse(error)
        return
    trace.template_steps -= steps
    _note_uses(excesses, pointer, trace)


def _note_uses(uses: Iterable[tuple[str, str, int]], pointer: str, trace: Trace) -> None:
    for use, name, line in uses:
        place = f"{pointer} line {line}".strip()
        trace.note(TemplateUse(trace.at(pointer=place), use, name))


def _is_switched_on(value: Any) -> bool:
    return isinstance(value, (bool, int)) and bool(value)


def _walk(root: Any) -> Iterator[tuple[str, str, Any]]:
    """Every value with its pointer and the nearest key above it."""
    waiting: list[tuple[str, str, Any]] = [("", "", root)]
    while waiting:
        pointer, key, value = waiting.pop()
        yield pointer, key, value
        if isinstance(value, dict):
            waiting += (
                (f"{pointer}/{_escaped(str(inner))}", str(inner), below)
                for inner, below in value.items()
            )
        elif isinstance(value, list):
            # Vocabularies are lists of hundreds of thousands of pairs; few of them matter.
            waiting += (
                (f"{pointer}/{at}", key, below)
                for at, below in enumerate(value)
                if isinstance(below, (dict, list)) or (isinstance(below, str) and below)
            )


def _escaped(key: str) -> str:
    return key[:100].replace("~", "~0").replace("/", "~1")


def _note_text(pointer: str, text: str, trace: Trace) -> None:
    keys = pointer.split("/")
    place = trace.at(pointer=pointer)
    code = next((key for key in keys if key in _CODE_KEYS), None)
    if code is not None:
        trace.note(NamedCode(place, code, text[:_MOST_SHOWN]))
    if keys[-1] in _IMPORTED_KEYS and _is_dotted(text) and not _is_operator(text):
        trace.note(NamedCode(place, f"imported by {keys[-1]}", text[:_MOST_SHOWN]))
    if keys[-1] == "trust_remote_code" and text.lower() in ("true", "1", "yes"):
        trace.note(NamedCode(place, keys[-1], "true"))
    _note_loaded(keys, text, place, trace)
    within = next((key for key in keys if key in _WITHIN), None)
    if within is not None and leads_elsewhere(text):
        trace.note(Reference(place, within, text[:_MOST_SHOWN]))
    if keys[-1] in _FOLLOWED and (climbs(text) or is_address(text) or is_share(text)):
        trace.note(Reference(place, keys[-1], text[:_MOST_SHOWN]))
    if keys[-1] in _VOCABULARY_KEYS:
        trace.note(Reference(place, "Keras vocabulary", text[:_MOST_SHOWN]))
    if looks_like_template(text) and _is_template(keys, text):
        note_template(text, pointer, trace)
    elif keys[-1] != SERIALIZED_KEY:  # which is examined as the pickle that it is
        note_encoded(text, place, trace)


def _note_loaded(keys: list[str], text: str, place: Place, trace: Trace) -> None:
    """Note modules, kernels and codecs that loaders take by such names."""
    shown = text[:_MOST_SHOWN]
    if keys[-1] == _LIBRARY_KEY:
        trace.note(NamedCode(place, _LIBRARY_KEY, shown))
    if "/" in text and any(key in _KERNEL_KEYS for key in keys):
        trace.note(NamedCode(place, "kernel of a repo", shown))
    named = keys[-1] in ("id", "name") and text in _PICKLING_CODECS
    if named and any(key in _CODEC_LISTS for key in keys):
        trace.note(NamedCode(place, "codec that unpickles", shown))


def _is_operator(text: str) -> bool:
    """A node of an exported torch program: operators of torch's own are looked up, not imported."""
    return text.startswith(("torch.ops.aten.", "torch.ops.prims.", "torch.ops.higher_order."))


def _is_dotted(text: str) -> bool:
    parts = text.replace(":", ".").split(".")
    return len(parts) > 1 and all(map(str.isidentifier, parts))


def looks_like_template(text: str) -> bool:
    """Whether Jinja would find anything to do in a text."""
    return "{{" in text or "{%" in text


def _is_template(keys: list[str], text: str) -> bool:
    """A template by its key, or one that whoever renders any text would regret."""
    return "__" in text or any(word in key.lower() for key in keys for word in _TEMPLATE_WORDS)


def _note_mlflow(pointer: str, value: str, trace: Trace) -> None:
    key = pointer.rpartition("/")[2]
    place = trace.at(pointer=pointer)
    if key in _MLFLOW_CODE:
        trace.note(NamedCode(place, f"mlflow {key}", value[:_MOST_SHOWN]))
    elif key in _MLFLOW_FILES and leads_elsewhere(value):
        trace.note(Reference(place, f"MLflow {key}", value[:_MOST_SHOWN]))


def _note_pair(pointer: str, value: list[Any], trace: Trace) -> None:
    """`model_index.json` names classes as `[library, class]`."""
    if pointer.count("/") == 1 and len(value) == 2 and all(isinstance(v, str) for v in value):
        library, class_name = value
        if library.isidentifier() and class_name.isidentifier() and class_name[0].isupper():
            place = trace.at(pointer=pointer)
            trace.note(NamedCode(place, "pipeline component", f"{library}.{class_name}"))


def _note_objects(pointer: str, value: dict[str, Any], trace: Trace) -> None:
    place = trace.at(pointer=pointer)
    class_name, module = value.get("class_name"), value.get("module")
    if isinstance(class_name, str) and ("config" in value or isinstance(module, str)):
        config, registered = value.get("config"), value.get("registered_name")
        function = config if class_name == "function" and isinstance(config, str) else ""
        trace.note(
            KerasObject(
                place,
                module[:_MOST_SHOWN] if isinstance(module, str) else "",
                class_name[:_MOST_SHOWN],
                function[:_MOST_SHOWN],
                registered[:_MOST_SHOWN] if isinstance(registered, str) else "",
            )
        )
    kind, path = value.get("type"), value.get("path")
    if isinstance(kind, str) and isinstance(path, str) and "idx" in value:
        trace.note(NamedCode(place, "module", kind[:_MOST_SHOWN]))
        if leads_elsewhere(path):
            trace.note(Reference(place, "the folder of a module", path[:_MOST_SHOWN]))
    owner, name = value.get("__module__"), value.get("__class__")
    if isinstance(owner, str) and isinstance(name, str):
        loader = value.get("__loader__")
        key = f"skops {loader[:100]}" if isinstance(loader, str) else "__class__"
        trace.note(NamedCode(place, key, f"{owner}.{name}"[:_MOST_SHOWN]))
