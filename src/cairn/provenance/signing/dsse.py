"""DSSE envelopes: bytes of a declared type, and signatures over both.

Signed is `DSSEv1 SP len(type) SP type SP len(payload) SP payload`, lengths in decimal bytes, so
that a payload cannot be passed off as one of another type.
Specification: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from cairn.errors import MalformedError

IN_TOTO_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and the one signature that a Sigstore bundle allows."""

    payload: bytes
    signature: bytes
    payload_type: str = IN_TOTO_TYPE

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return pre_authentication(self.payload_type, self.payload)

    def as_json(self) -> dict[str, Any]:
        """The envelope as JSON values."""
        return {
            "payload": _encoded(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": _encoded(self.signature), "keyid": ""}],
        }


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """The bytes to sign for a payload of this type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def read_envelope(value: object, source: str) -> Envelope:
    """The envelope in parsed JSON; nothing is verified.

    Raises:
        MalformedError: a field is missing or of another kind, the payload is no in-toto
            statement, or there is not exactly one signature.
    """
    fields = as_object(value, "dsseEnvelope", source)
    payload_type = fields.get("payloadType")
    if payload_type != IN_TOTO_TYPE:
        raise MalformedError(
            f"the payload is of type {str(payload_type)[:100]!r}, not {IN_TOTO_TYPE}", source=source
        )
    signatures = fields.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise MalformedError("an envelope in a bundle has exactly one signature", source=source)
    signature = as_object(signatures[0], "signature", source)
    return Envelope(
        decoded(fields.get("payload"), "payload", source),
        decoded(signature.get("sig"), "sig", source),
    )


def as_object(value: object, what: str, source: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        MalformedError: it is something else.
    """
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object", source=source)
    return value


def decoded(value: object, what: str, source: str) -> bytes:
    """The bytes of a base64 text (RFC 4648, section 4) that is not empty.

    Raises:
        MalformedError: it is something else.
    """
    try:
        if isinstance(value, str) and value:
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise MalformedError(f"{what} is not base64", source=source)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
