"""NeMo models (.nemo): a tar archive of a configuration, a torch archive, and tokenizer files.

    model_config.yaml     settings; `target` is the class of the model
    model_weights.ckpt    a torch zip file: the state dict
    *                     tokenizers and vocabularies

The tar's byte table is in `cairn.formats.tar_archive`. Contents are stored, so the torch archive
is a window of this file. Specification: `nemo/core/connectors/save_restore_connector.py` in
https://github.com/NVIDIA/NeMo.
"""

from cairn.domain import Layout, Scalar, Source, Storage
from cairn.errors import LimitError, UntrustedDataError
from cairn.formats.limits import MAX_NESTED_ARCHIVES, MAX_YAML_CHARS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.sources import WindowSource, read_exactly
from cairn.formats.tar_archive import TarMember, members_of
from cairn.formats.torch_archive import PickleBudget, TorchArchive
from cairn.formats.torch_findings import Findings
from cairn.formats.torch_tree import TorchTree

_CONFIG = "model_config.yaml"
_WEIGHTS = ".ckpt"
_TARGET = "target"
_MAX_CLASS_CHARS = 200


class NemoReader(Reader):
    """Reads `.nemo` files that are plain tar archives; compressed ones are only named."""

    @property
    def name(self) -> str:
        """`nemo`."""
        return "nemo"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A tar archive with the member `model_config.yaml`."""
        if head[257:262] != b"ustar":
            return False
        try:
            return any(member.name == _CONFIG for member in members_of(source))
        except UntrustedDataError:
            return _CONFIG.encode() in head

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its headers, its configuration and the archive within."""
        notes = Notes()
        found = Findings(source.name, notes)
        members = list(members_of(source))
        config = next((m for m in members if m.name == _CONFIG), None)
        settings = _settings(config, source, notes) if config else {}
        storages = _walk_weights(members, source, notes, found)
        target = settings.get(_TARGET)
        modules = dict(found.modules)
        if isinstance(target, str):
            modules[""] = printable(target, _MAX_CLASS_CHARS)
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(found.tensors),
            storages=tuple(sorted(storages, key=lambda storage: storage.span)),
            metadata={**found.metadata, **settings},
            notes=notes.listed(),
            modules=modules,
            sections=found.sections,
        )


def _settings(config: TarMember, source: Source, notes: Notes) -> dict[str, Scalar]:
    """The settings by dotted key; none, and a note, where they are not YAML of a sane size."""
    # Where there is no YAML, listing a checkpoint needs the standard library alone.
    from cairn.formats.bounded_yaml import flat_settings, load_yaml

    size_bytes = config.data.size_bytes
    if size_bytes > MAX_YAML_CHARS:
        notes.add(f"{_CONFIG} has {size_bytes} bytes, at most {MAX_YAML_CHARS} are read")
        return {}
    raw = read_exactly(source, config.data.start, size_bytes, _CONFIG)
    try:
        return flat_settings(load_yaml(raw.decode("utf-8", "replace"), _CONFIG, tags=True))
    except UntrustedDataError as error:
        notes.add(error.what)
        return {}


def _walk_weights(
    members: list[TarMember], source: Source, notes: Notes, found: Findings
) -> list[Storage]:
    """List the tensors of the torch archives within; several share one budget."""
    weights = [member for member in members if member.name.endswith(_WEIGHTS)]
    if len(weights) > MAX_NESTED_ARCHIVES:
        raise LimitError(
            f"{len(weights)} archives within, at most {MAX_NESTED_ARCHIVES} are read",
            source=source.name,
        )
    if not weights:
        notes.add("holds no .ckpt; weights kept in another way are not read")
    budget = PickleBudget()
    storages: list[Storage] = []
    for member in weights:
        span = member.data
        label = f"{source.name}!{member.name[:100]}"
        window = WindowSource(source, span.start, span.stop, label)
        inner = TorchArchive(window, notes, start=span.start, budget=budget)
        prefix = "" if len(weights) == 1 else member.name.removesuffix(_WEIGHTS)
        TorchTree(inner.tensors(), source.name, notes, found).walk(inner.value, None, prefix)
        storages += inner.used()
        inner.note_leftovers(notes)
    return storages
