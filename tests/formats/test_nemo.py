"""NeMo archives: tensors of the torch archive within, and tar files made to deceive."""

import io
import struct
import tarfile

import pytest
import torch
from torch import nn

from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource
from cairn.formats.limits import MAX_YAML_CHARS
from cairn.formats.readers.nemo import NemoReader
from cairn.formats.tar_archive import members_of
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import bytes_of, layout_of, saved

CONFIG = b"""# settings
target: nemo.collections.asr.models.EncDecCTCModelBPE
sample_rate: 16000  # Hz
nemo_version: '1.20.0'
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  d_model: 256
  dropout: 0.1
  self_attention: {a: 1}
  strides: [1, 2]
train_ds:
  shuffle: true
  manifest: null
"""


def tar(members, mode: str = "w:", **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as out:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def nemo(state=None, **options) -> bytes:
    weights = saved({"w": torch.arange(3.0)} if state is None else state)
    return tar({"./model_config.yaml": CONFIG, "./model_weights.ckpt": weights}, **options)


class TestNemo(ReaderConformance):
    reader = NemoReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {"ustar": nemo(format=tarfile.USTAR_FORMAT)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tensors_and_settings_are_read_in_every_form_of_tar(form) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    data = nemo(model.state_dict(), format=form)
    layout = layout_of(data, "asr.nemo")
    assert layout.format == "nemo"
    found = {tensor.name: tensor for tensor in layout.tensors}
    for name, tensor in model.state_dict().items():
        assert read_array(found[name], BytesSource(data)).tobytes() == bytes_of(tensor)
    assert layout.modules[""] == "nemo.collections.asr.models.EncDecCTCModelBPE"
    assert layout.metadata["encoder.d_model"] == 256


def test_long_names_and_sizes_in_pax_records_are_understood() -> None:
    long = "d/" * 90 + "tokenizer.model"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = tar({long: b"x", "model_config.yaml": CONFIG}, format=form)
        assert next(member.name for member in members_of(BytesSource(data))) == long


def test_settings_become_metadata_with_lists_as_text() -> None:
    assert (
        layout_of(nemo(), "asr.nemo").metadata.items()
        >= {
            "target": "nemo.collections.asr.models.EncDecCTCModelBPE",
            "sample_rate": 16000,
            "nemo_version": "1.20.0",
            "encoder._target_": "nemo.collections.asr.modules.ConformerEncoder",
            "encoder.dropout": 0.1,
            "encoder.self_attention.a": 1,
            "encoder.strides": "1, 2",
            "train_ds.shuffle": True,
            "train_ds.manifest": None,
        }.items()
    )


@pytest.mark.parametrize(
    ("config", "remark"),
    [
        (b"a: [", "is not valid yaml"),
        (b"a: " + b"[" * 500, "nested more than"),
        (b"a: " + b"9" * 5000, "more than 300 digits"),
        (b"a: &a [*a]", "cannot be used"),
        (b"#" * (MAX_YAML_CHARS + 1), "at most"),
    ],
)
def test_settings_that_cannot_be_read_are_noted_and_the_weights_listed(config, remark) -> None:
    weights = saved({"w": torch.arange(3.0)})
    layout = layout_of(tar({"model_config.yaml": config, "model_weights.ckpt": weights}), "x.nemo")
    assert [tensor.name for tensor in layout.tensors] == ["w"]
    assert remark in layout.notes[0]


def test_compressed_archives_are_named_with_advice() -> None:
    with pytest.raises(UnknownFormatError, match=r"compressed NeMo archive.*Decompress"):
        layout_of(nemo(mode="w:gz"))
    with pytest.raises(UnknownFormatError, match="compressed tar archive"):
        layout_of(tar({"x": b""}, mode="w:gz"))
    with pytest.raises(UnknownFormatError, match="gzip data"):
        layout_of(b"\x1f\x8b\x08broken")
    with pytest.raises(UnknownFormatError, match="tar archive"):
        layout_of(tar({"x": b""}))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "."])
def test_a_name_that_leads_out_is_refused(name) -> None:
    data = tar({"model_config.yaml": CONFIG, name: b"x"})
    with pytest.raises(MalformedError, match="leads out"):
        layout_of(data)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"S"])
def test_links_and_devices_are_refused(kind) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as out:
        out.addfile(_entry("model_config.yaml", len(CONFIG)), io.BytesIO(CONFIG))
        entry = tarfile.TarInfo("model_weights.ckpt")
        entry.type, entry.linkname = kind, "/etc/passwd"
        out.addfile(entry)
    with pytest.raises(MalformedError, match="link, a device"):
        layout_of(buffer.getvalue())


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def resized(data: bytes, field: bytes) -> bytes:
    """The first member with another size, its checksum made right."""
    header = bytearray(data[:512])
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + data[512:]


@pytest.mark.parametrize(
    "field",
    [b"77777777777\0", b"\x80" + struct.pack(">3xQ", 2**62), b"\xff" * 12, b"-1         \0"],
)
def test_sizes_beyond_the_file_are_refused(field) -> None:
    with pytest.raises(MalformedError, match=r"past the end|no number"):
        layout_of(resized(nemo(), field))


def test_an_archive_in_its_own_weights_is_not_followed() -> None:
    with pytest.raises(MalformedError, match="zip"):
        layout_of(tar({"model_config.yaml": CONFIG, "model_weights.ckpt": nemo()}))


def test_many_members_end_in_a_limit(monkeypatch) -> None:
    data = tar({"model_config.yaml": CONFIG, **{f"f{i}": b"" for i in range(30)}})
    assert "no .ckpt" in layout_of(data).notes[0]
    monkeypatch.setattr("cairn.formats.tar_archive.MAX_TAR_MEMBERS", 20)
    with pytest.raises(LimitError, match="20 members"):
        layout_of(data)


def test_pax_records_that_lie_are_refused() -> None:
    for record in (b"99 path=x\n", b"x", b"12 size=-1x\n", b"11 size=x1\n"):
        entry = _entry("pax", len(record))
        entry.type = tarfile.XHDTYPE
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.USTAR_FORMAT) as out:
            out.addfile(_entry("model_config.yaml", len(CONFIG)), io.BytesIO(CONFIG))
            out.addfile(entry, io.BytesIO(record))
            out.addfile(_entry("x", 0))
        with pytest.raises(MalformedError, match="pax record"):
            layout_of(buffer.getvalue())
