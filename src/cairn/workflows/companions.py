"""What the configuration files beside tensors say the model is."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cairn.domain import Architecture, Fact, Scalar, Source
from cairn.errors import MalformedError, UntrustedDataError
from cairn.formats.declared_facts import declared_facts
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.naming import printable
from cairn.formats.recognition import label_of
from cairn.formats.strict_json import read_json

PIPELINE = "model_index.json"
CONFIG = "config.json"
# Strongest first: a diffusers pipeline has a config.json in every part, an adapter may
# carry its base model's.
CONFIGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (PIPELINE, ("_class_name",)),
    ("adapter_config.json", ("peft_type",)),
    (CONFIG, ("model_type", "_class_name")),
)
TRAINER_STATE = "trainer_state.json"

COMPANIONS = (*(name for name, _ in CONFIGS), TRAINER_STATE)
"""File names read as companions of tensors, in the folder of the checkpoint."""

_MAX_SCALARS = 200
_MAX_TEXT = 1000


def architecture_of(source: Source) -> Architecture | None:
    """What a configuration file says the model is; None if it says nothing.

    Raises:
        UntrustedDataError: it is too large or not a JSON object.
    """
    config = object_of(source, MAX_CONFIG_BYTES)
    file = source.name.rpartition("/")[2]
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else config.get("_class_name")
    class_name = printable(first, _MAX_TEXT) if isinstance(first, str) and first else None
    facts = {**declared_facts(config, file), **_code_named(config, file)}
    for key in dict(CONFIGS).get(file, ()):
        family = config.get(key)
        if isinstance(family, str) and family:
            label = label_of(printable(family, _MAX_TEXT).lower())
            return Architecture(label, class_name, f"{file}: {key}", scalars_of(config), facts)
    if class_name is None:
        return None
    evidence = f"{file}: architectures"
    return Architecture(class_name.lower(), class_name, evidence, scalars_of(config), facts)


def _code_named(config: Mapping[str, Any], file: str) -> dict[str, Fact]:
    """The code in the repo that `auto_map` would have transformers import. We do not."""
    named = config.get("auto_map")
    if not isinstance(named, dict):
        return {}
    classes = sorted({value for value in named.values() if isinstance(value, str)})
    return {"auto_map": Fact(printable(", ".join(classes), _MAX_TEXT), f"{file}: auto_map")}


def shallowest(paths: Iterable[str], name: str) -> str | None:
    """The path with this file name that lies in the fewest folders, then first by name."""
    matching = [path for path in paths if path.rpartition("/")[2] == name]
    return min(matching, key=lambda path: (path.count("/"), path), default=None)


def first_architecture(
    paths: Iterable[str],
    read: Callable[[str], Architecture | None],
    unread: dict[str, str],
) -> Architecture | None:
    """The architecture by the strongest configuration file that states one.

    Files that cannot be read are entered in `unread` with the reason.
    """
    known = list(paths)
    for name, _ in CONFIGS:
        path = shallowest(known, name)
        if path is None:
            continue
        try:
            found = read(path)
        except UntrustedDataError as error:
            unread[path] = str(error)
            continue
        if found is not None:
            return found
    return None


def object_of(source: Source, max_bytes: int) -> Mapping[str, Any]:
    """The JSON object that a small file holds.

    Raises:
        UntrustedDataError: it is too large or something else.
    """
    file = source.name.rpartition("/")[2]
    parsed = read_json(source, max_bytes, what=file, constants=True)
    if not isinstance(parsed, dict):
        raise MalformedError(f"{file} is not a JSON object", source=source.name)
    return parsed


def scalars_of(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """The plain settings, at most `_MAX_SCALARS`; numbers JSON cannot spell become text."""
    found: dict[str, Scalar] = {}
    for key, value in config.items():
        if len(found) >= _MAX_SCALARS:
            break
        name = printable(key, _MAX_TEXT)
        if isinstance(value, str):
            found[name] = printable(value, _MAX_TEXT)
        elif isinstance(value, float):
            found[name] = value if math.isfinite(value) else str(value)
        elif value is None or isinstance(value, (bool, int)):
            found[name] = value
    return found
