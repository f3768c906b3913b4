"""What a repo's description says of its files: the list, and the telling part of config.json."""

import json
from typing import Any

from cairn.catalog import RepoRecord
from cairn.domain import Manifest, RepoType, Revision
from cairn.errors import CairnError
from cairn.hub.hf import shapes
from cairn.hub.hf.shapes import Json
from cairn.workflows.house import House

MAX_CONFIG_BYTES = 1 << 20
MAX_CONFIG_DEPTH = 24  # published ones have at most six
# Of config.json, what the HF hub shows.
_CONFIG_KEYS = ("architectures", "model_type", "quantization_config", "auto_map")


def contents(house: House, record: RepoRecord, at: Revision | None, *, blobs: bool) -> Json:
    """`siblings` and, for models, `config`; a repo without commits has no files."""
    if at is None:
        return {"siblings": []}
    manifest = house.catalog.history.manifest(at.tree)
    shape: Json = {"siblings": shapes.files(manifest, blobs=blobs)}
    if record.id.type is RepoType.MODEL:
        shape["config"] = _config(house, manifest)
    return shape


def _config(house: House, manifest: Manifest) -> Json:
    entry = manifest.entries.get("config.json")
    if entry is None or entry.blob.size_bytes > MAX_CONFIG_BYTES:
        return {}
    try:
        config: Any = json.loads(house.store.read_bytes(entry.blob.digest, MAX_CONFIG_BYTES))
    except (CairnError, ValueError, RecursionError):
        return {}  # whatever it is, it does not describe a model
    if not isinstance(config, dict):
        return {}
    told = {key: config[key] for key in _CONFIG_KEYS if key in config}
    return {key: value for key, value in told.items() if _is_shallow(value, MAX_CONFIG_DEPTH)}


def _is_shallow(value: object, levels: int) -> bool:
    """Whether it nests fewer than `levels` levels, so that writing it as JSON cannot fail."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in items)
