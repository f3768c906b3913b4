"""Stable-Baselines3 models (.zip): settings in JSON, each module and optimizer a torch archive.

    data                         JSON; what JSON cannot say is a pickle in base64, left alone
    policy.pth                   state dict of the policy
    policy.optimizer.pth         state dict of its optimizer; also actor., critic., ...
    pytorch_variables.pth        loose tensors, such as `log_ent_coef`
    _stable_baselines3_version   text
    system_info.txt              text

Members are stored, so the torch archives within are windows of this file. Specification:
https://github.com/DLR-RM/stable-baselines3/blob/master/stable_baselines3/common/save_util.py
and https://stable-baselines3.readthedocs.io/en/master/guide/save_format.html.
"""

from cairn.domain import Layout, Role, Scalar, Source, Storage
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import (
    MAX_CONFIG_BYTES,
    MAX_NESTED_ARCHIVES,
    MAX_SMALL_ZIP_DIRECTORY_BYTES,
)
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.reinforcement import algorithm_of, settings_of
from cairn.formats.sources import WindowSource
from cairn.formats.strict_json import parse_json
from cairn.formats.torch_archive import PickleBudget, TorchArchive
from cairn.formats.torch_findings import Findings
from cairn.formats.torch_tree import TorchTree
from cairn.formats.zip_archive import Member, ZipArchive
from cairn.formats.zip_directory import directory_bytes

_MAGIC = b"PK\x03\x04"
_DATA = "data"
_VERSION = "_stable_baselines3_version"
_NESTED = ".pth"
_MAX_VERSION_BYTES = 64


class StableBaselines3Reader(Reader):
    """Reads what `BaseAlgorithm.save` writes: policies, optimizers and settings of an algorithm."""

    @property
    def name(self) -> str:
        """`stable-baselines3`."""
        return "stable-baselines3"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip with the member `policy.pth` or the library's version, and one called `data`."""
        if not head.startswith(_MAGIC):
            return False
        raw = directory_bytes(source, MAX_SMALL_ZIP_DIRECTORY_BYTES)
        return b"data" in raw and (b"policy.pth" in raw or _VERSION.encode() in raw)

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its settings and the archives within."""
        notes = Notes()
        archive = ZipArchive(source)
        settings = _settings(archive, source)
        found = Findings(source.name, notes)
        storages = _walk_nested(archive, source, notes, found)
        if archive.stray_bytes:
            notes.add(f"{archive.stray_bytes} bytes between members belong to none")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(found.tensors),
            storages=tuple(sorted(storages, key=lambda storage: storage.span)),
            metadata={**_metadata(archive, settings), **found.metadata},
            notes=notes.listed(),
            architecture=algorithm_of(settings),
            sections=found.sections,
        )


def _settings(archive: ZipArchive, source: Source) -> dict[str, object]:
    member = archive.members.get(_DATA)
    if member is None:
        raise MalformedError("the member data is missing", source=source.name)
    raw, intact = archive.read(member, MAX_CONFIG_BYTES)
    if not intact:
        raise MalformedError(
            "the CRC-32 of data is wrong", source=source.name, offset=member.data.start
        )
    settings = parse_json(raw, source.name, what="data", constants=True)
    if not isinstance(settings, dict):
        raise MalformedError("data is not a JSON object", source=source.name)
    return settings


def _metadata(archive: ZipArchive, settings: dict[str, object]) -> dict[str, Scalar]:
    metadata = settings_of(settings)
    version = archive.members.get(_VERSION)
    if version is not None:
        text, _ = archive.read(version, _MAX_VERSION_BYTES)
        metadata["stable_baselines3_version"] = text.decode("ascii", "replace").strip()
    return metadata


def _walk_nested(
    archive: ZipArchive, source: Source, notes: Notes, found: Findings
) -> list[Storage]:
    """List the tensors of every archive within; they share one budget and one set of names."""
    nested = [member for member in archive if member.name.endswith(_NESTED)]
    if len(nested) > MAX_NESTED_ARCHIVES:
        raise LimitError(
            f"{len(nested)} archives within, at most {MAX_NESTED_ARCHIVES} are read",
            source=source.name,
        )
    budget = PickleBudget()
    storages: list[Storage] = []
    for member in nested:
        inner = _opened(member, source, notes, budget)
        tree = TorchTree(inner.tensors(), source.name, notes, found)
        stem = member.name.removesuffix(_NESTED)
        tree.walk(inner.value, _role(stem), stem)
        storages += inner.used()
        inner.note_leftovers(notes)
    return storages


def _opened(member: Member, source: Source, notes: Notes, budget: PickleBudget) -> TorchArchive:
    if not member.stored:
        raise MalformedError(
            f"{member.name[:200]!r} is compressed",
            source=source.name,
            offset=member.data.start,
            hint="Unpack the archive and pack it again without compression",
        )
    span = member.data
    window = WindowSource(source, span.start, span.stop, f"{source.name}!{member.name[:100]}")
    return TorchArchive(window, notes, start=span.start, budget=budget)


def _role(stem: str) -> Role | None:
    if stem.endswith("optimizer"):
        return Role.OPTIMIZER
    return Role.WEIGHTS if stem == "policy" else None
