"""Makes a part's plain bytes from its record: decoded alone, or predicted and corrected.

The stored bytes of a derived part, after its base table:

| offset | bytes | field |
|---|---|---|
| 0 | 1 | layout version, 1 |
| 1 | 1 | coding of the residual (`residual.py`) |
| 2 | 2 | zero |
| 4 | 4 | u32 bytes of parameters |
| 8 | | parameters of the predictor, then the residual |
"""

import struct
from collections.abc import Callable

from cairn.errors import IntegrityError, NotFoundError
from cairn.plugins import Registry
from cairn.store.bases import BASE_BYTES, Base, BaseBytes, parse_bases
from cairn.store.codec import Codec
from cairn.store.packs import Record
from cairn.store.predictor import MAX_PARAMS_BYTES
from cairn.store.predictors import PREDICTORS
from cairn.store.residual import apply_residual
from cairn.store.scratch import Scratch

DERIVED_VERSION = 1
_HEAD = struct.Struct("<BBHI")
DERIVED_HEAD_BYTES = _HEAD.size

Fetch = Callable[[Base, memoryview], None]


def encode_body(params: bytes, coding: int, residual: bytes) -> bytes:
    """What follows the base table of a derived part."""
    return _HEAD.pack(DERIVED_VERSION, coding, 0, len(params)) + params + residual


def coding_of(body: bytes | memoryview) -> int:
    """How the residual of a derived part is coded; `body` is what follows its base table.

    Raises:
        IntegrityError: it is cut short or of another version.
    """
    return _parse_head(body)[0]


def _parse_head(body: bytes | memoryview) -> tuple[int, int]:
    """The coding of the residual and the bytes of parameters."""
    if len(body) < _HEAD.size:
        raise IntegrityError("the head of a derived part is cut short")
    version, coding, zero, params_bytes = _HEAD.unpack_from(body)
    if version != DERIVED_VERSION or zero:
        raise IntegrityError(f"a derived part of version {version}: update Cairn to read it")
    return coding, params_bytes


def decode_into(
    record: Record,
    stored: memoryview,
    out: memoryview,
    codecs: Registry[Codec],
    fetch: Fetch,
    scratch: Scratch,
) -> None:
    """Fill `out`, as long as the part, with its plain bytes. Their digest is not checked.

    `fetch` writes the wanted bytes of a base.

    Raises:
        IntegrityError: damaged, or written by a codec or predictor that is not installed.
    """
    try:
        if record.base_count:
            _derive_into(record, stored, out, fetch, scratch)
        else:
            codecs.get(record.codec).decode_into(stored, out, record.dtype)
    except NotFoundError as error:
        raise IntegrityError(str(error)) from None


def _derive_into(
    record: Record, stored: memoryview, out: memoryview, fetch: Fetch, scratch: Scratch
) -> None:
    bases = BaseBytes(parse_bases(stored, record.base_count), fetch)
    # The digest of what is made tells damage as well, and hashing these too costs a sixth of
    # reading. But nothing large is made for damaged bytes to say so.
    if bases.size_bytes() > len(out) and not record.matches(stored):
        raise IntegrityError("the stored bytes of a derived part are damaged")
    body = stored[record.base_count * BASE_BYTES :]
    coding, params_bytes = _parse_head(body)
    split = _HEAD.size + params_bytes
    if params_bytes > MAX_PARAMS_BYTES or split > len(body):
        raise IntegrityError("the parameters of a derived part are cut short")
    predictor = PREDICTORS.get(record.codec)
    predictor.predict_into(body[_HEAD.size : split], bases, out, record.dtype, scratch)
    apply_residual(coding, body[split:], out, record.dtype, scratch)
