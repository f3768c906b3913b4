"""Zip, tar and NumPy files put together for tests; whatever is in them stays bytes."""

import io
import struct
import tarfile
import zipfile

from tests.scanner.pickle_assembly import named, text

MAGIC_NUMBER = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of torch's checkpoints from before torch 1.6."""

STATE_DICT = (
    b"\x80\x02}q\x00X\x01\0\0\0wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\0\0\0storageq\x03"
    b"ctorch\nFloatStorage\nq\x04X\x01\0\0\x000q\x05X\x03\0\0\0cpuq\x06K\x04tq\x07QK\x00K\x02K\x02"
    b"\x86q\x08K\x02K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs."
)
"""`{"w": a tensor of 2 x 2 floats}`, its four elements in storage 0."""


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def torch_zip(pickle: bytes = STATE_DICT, **others: bytes) -> bytes:
    """What torch.save writes since 1.6, with other members beside."""
    storage = {"archive/data/0": struct.pack("<4f", 1, 2, 3, 4)}
    return zipped({"archive/data.pkl": pickle, **storage, **others})


def tarred(members: dict[str, bytes]) -> bytes:
    """A tar archive of plain files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def npy(descr: str, body: bytes, shape: str = "(1,)", version: int = 1) -> bytes:
    """A NumPy array file whose header says `descr`, a Python literal."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def patched(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    """Data with bytes replaced by others, at least once each."""
    for old, new in changes:
        assert old in data
        data = data.replace(old, new)
    return data


def flagged(archive: bytes, bits: int) -> bytes:
    """A zip archive whose headers all say these general-purpose flags."""
    raw = bytearray(archive)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(magic)
        while place >= 0:
            raw[place + at] |= bits
            place = raw.find(magic, place + 4)
    return bytes(raw)


def with_array(descr: str, shape: bytes, body: bytes, after: bytes = b".") -> bytes:
    """A pickle as joblib writes it: the wrapper of an array, its bytes, and opcodes after them."""
    dtype = named("numpy", "dtype") + b"(" + text(descr) + b"\x89\x88tR"
    state = b"}(" + text("shape") + shape + text("dtype") + dtype
    state += text("numpy_array_alignment_bytes") + b"K\x10u"
    wrapper = named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b"
    return b"\x80\x04" + wrapper + body + after
