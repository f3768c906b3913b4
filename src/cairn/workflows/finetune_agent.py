"""An agent of Stable-Baselines3 as data: settings and weights, without unpickling its file."""

import zipfile
from pathlib import Path
from typing import Any

from cairn.errors import MalformedError, RequestError
from cairn.formats.fetched_folders import called
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.strict_json import parse_json
from cairn.workflows import convert
from cairn.workflows.inspect import read_path

_ENDING, _SETTINGS, _WEIGHTS = ".zip", "data", "weights.safetensors"


def agent_file(base: Path) -> Path | None:
    """The file of an agent: the base itself, or the only one in its folder; None if it is none."""
    if base.is_file():
        return base if base.suffix == _ENDING else None
    found = sorted(base.glob(f"*{_ENDING}"))
    return found[0] if len(found) == 1 and not (base / "config.json").exists() else None


def agent_data(base: Path, folder: Path) -> tuple[str, dict[str, Any], Path]:
    """The algorithm's name, its settings, and its weights as safetensors in `folder`.

    Raises:
        RequestError: it is no agent. UntrustedDataError: it cannot be read.
    """
    path = agent_file(base)
    if path is None:
        raise RequestError(f"{called(base)} is no agent: name its .zip, or a folder with only one")
    found = read_path(path)
    architecture = found.checkpoint.architecture
    if architecture is None:
        raise RequestError(f"{path.name} does not say which algorithm it is of")
    conversion = convert.plan(found, _WEIGHTS, convert.Choice(), path.name)
    (weights,) = convert.write(conversion, found.files, folder)
    return architecture.family.upper(), _settings(path), weights


def _settings(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive, archive.open(_SETTINGS) as member:
        content = member.read(MAX_CONFIG_BYTES + 1)
    if len(content) > MAX_CONFIG_BYTES:
        raise MalformedError(f"settings of over {MAX_CONFIG_BYTES} bytes", source=path.name)
    said = parse_json(content, path.name, what="the settings")
    if not isinstance(said, dict):
        raise MalformedError("settings that are no object", source=path.name)
    return said
