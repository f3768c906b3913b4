"""How files we cannot lay out begin, so that the error can say what they are and what to do."""

import zlib

from cairn.errors import UnknownFormatError

RESAVE = "Load it with torch in a sandbox and save its state_dict as safetensors"

_PAGE = "A server may have answered with it in place of the file; download that again"
_NO_CHECKPOINT = "It holds no tensors"

# Each: first bytes, what it is, what to do.
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/v1",
        "a Git LFS pointer, not the file itself",
        "Fetch the content with `git lfs pull` or `hf download`",
    ),
    (b"tjgg", "a GGML file from before GGUF", "Convert the model again with a current llama.cpp"),
    (b"fmgg", "a GGML file from before GGUF", "Convert the model again with a current llama.cpp"),
    (b"lmgg", "a GGML file from before GGUF", "Convert the model again with a current llama.cpp"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Checkpoints in 7z archives are not read; unpack it"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data", "Decompress it first"),
    (b"BZh", "bzip2 data", "Decompress it first"),
    (b"\xfd7zXZ\x00", "xz data", "Decompress it first"),
    (b"<!DOCTYPE", "a web page", _PAGE),
    (b"<!doctype", "a web page", _PAGE),
    (b"<html", "a web page", _PAGE),
    (b"\x89PNG", "a PNG image", _NO_CHECKPOINT),
    (b"\xff\xd8\xff", "a JPEG image", _NO_CHECKPOINT),
    (b"%PDF", "a PDF document", _NO_CHECKPOINT),
    (b"PAR1", "a Parquet file: rows of a data set", _NO_CHECKPOINT),
    (b"ARROW1", "an Arrow file: rows of a data set", _NO_CHECKPOINT),
    (b"PK", "a zip archive that is not a torch checkpoint", "Unpack it to read what it holds"),
)


_SHOWN_BYTES = 16
_GZIP = b"\x1f\x8b"
_MAX_PEEKED_BYTES = 4096


def unknown_format(head: bytes, source: str, size_bytes: int) -> UnknownFormatError:
    """The error for a file no reader recognises; `head` holds its first bytes."""
    if not size_bytes:
        return UnknownFormatError("the file is empty", source=source)
    for magic, what, advice in SIGNATURES:
        if head.startswith(magic):
            return UnknownFormatError(f"this is {what}", source=source, hint=advice)
    if head.startswith(_GZIP):
        return _compressed(head, source)
    if head[257:262] == b"ustar":
        # `torch.save` of 2016 made a tar of these four files (`legacy_load` in
        # torch/serialization.py); `sys_info` comes first.
        if head.startswith((b"sys_info\0", b"pickle\0", b"storages\0", b"tensors\0")):
            return UnknownFormatError(
                "this is a torch file in the tar format of torch's first releases",
                source=source,
                hint=RESAVE,
            )
        return UnknownFormatError("this is a tar archive", source=source, hint="Unpack it first")
    return UnknownFormatError(
        f"no reader recognises a file that begins with {_beginning(head[:_SHOWN_BYTES])}",
        source=source,
        hint="docs/formats/README.md lists what is read",
    )


def _beginning(head: bytes) -> str:
    """Text as text, other bytes as numbers."""
    text = head.decode("ascii", "replace").rstrip()
    return repr(text) if text.isascii() and text.isprintable() and text else head.hex(" ")


def _compressed(head: bytes, source: str) -> UnknownFormatError:
    """What gzip data holds, as far as its first page tells."""
    try:
        plain = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, _MAX_PEEKED_BYTES)
    except zlib.error:
        plain = b""
    what = "gzip data"
    if plain[257:262] == b"ustar":
        what = "a compressed tar archive, whose tensors are not read yet"
        if b"model_config.yaml" in plain:
            what = "a compressed NeMo archive, whose tensors are not read yet"
    return UnknownFormatError(f"this is {what}", source=source, hint="Decompress it first")
