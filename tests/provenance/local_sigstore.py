"""A Sigstore instance on this machine: identity provider, certificate authority and log.

What the public one does in services, here over real HTTP with real keys; its client is the
`sigstore` library. Profiles: RFC 6962 (section 3, certificate timestamps), Rekor's `dsse` 0.0.1
and https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md.
"""

import base64
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cairn.provenance.log import merkle

ISSUER = "https://accounts.example.org"
ANN = "ann@example.org"
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
TIMESTAMPS_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
VALID = {"start": "2020-01-01T00:00:00Z"}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(spki(key)).digest()


def sign(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


class LocalSigstore:
    """Its keys, what it issues and what it has logged."""

    def __init__(self) -> None:
        self.provider, self.authority, self.certificates_log, self.log = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(4)
        )
        self.root = self._root()
        self.entries: list[bytes] = [b"an entry of somebody else", b"and another one"]
        self.url = "http://127.0.0.1:9"  # nobody answers until it is served

    # --- the identity provider ---

    def token(self, email: str = ANN, *, lives_s: int = 300) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": email, "aud": "sigstore", "iat": now, "exp": now + lives_s}
        return jwt.encode(claims, self.provider, "ES256")

    # --- the certificate authority ---

    def _root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local sigstore")])
        public = self.authority.public_key()
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def certify(self, public: ec.EllipticCurvePublicKey, token: str) -> x509.Certificate:
        """A certificate for whoever the token says, with the promise of the certificates' log."""
        claims = jwt.decode(token, self.provider.public_key(), ["ES256"], audience="sigstore")
        now = datetime.now(UTC)
        issuer = claims["iss"].encode()
        authority = self.authority.public_key()
        extensions = [
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), False),
            (x509.SubjectAlternativeName([x509.RFC822Name(claims["sub"])]), True),
            (x509.UnrecognizedExtension(ISSUER_OID, issuer), False),
            (x509.UnrecognizedExtension(ISSUER_V2_OID, _der(0x0C, issuer)), False),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=5))
            .not_valid_after(now + timedelta(minutes=10))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        promised = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        timestamps = _der(0x04, self._timestamps(promised, now))
        return builder.add_extension(
            x509.UnrecognizedExtension(TIMESTAMPS_OID, timestamps), critical=False
        ).sign(self.authority, hashes.SHA256())

    def _timestamps(self, certificate: bytes, at: datetime) -> bytes:
        """RFC 6962, section 3.3: a list of one timestamp over the certificate without it."""
        moment = int(at.timestamp() * 1000).to_bytes(8, "big")
        whole = len(certificate).to_bytes(3, "big") + certificate
        signed = b"\0\0" + moment + b"\0\1" + key_id(self.authority) + whole + b"\0\0"
        signature = sign(self.certificates_log, signed)
        one = b"\0" + key_id(self.certificates_log) + moment + b"\0\0\4\3" + _sized(signature)
        return _sized(_sized(one))

    # --- the log ---

    def keep(self, proposed: dict) -> dict:
        """Log a signed envelope; returns the entry with its proof, as Rekor 1 does."""
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        signatures = [
            {"signature": one["sig"], "verifier": content["verifiers"][0]}
            for one in envelope["signatures"]
        ]
        spec = {
            "envelopeHash": _sha256(content["envelope"].encode()),
            "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
            "signatures": signatures,
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        self.entries.append(body)
        index, size = len(self.entries) - 1, len(self.entries)
        root = merkle.root_hash(size, self._node)
        entry = {
            "body": b64(body),
            "integratedTime": int(time.time()),
            "logID": key_id(self.log).hex(),
            "logIndex": index,
        }
        proof = merkle.inclusion_proof(index, size, self._node)
        promise = b64(sign(self.log, rfc8785.dumps(entry)))
        included = {
            "logIndex": index,
            "treeSize": size,
            "rootHash": root.hex(),
            "hashes": [one.hex() for one in proof],
            "checkpoint": self._checkpoint(size, root),
        }
        verification = {"signedEntryTimestamp": promise, "inclusionProof": included}
        return {"00": {**entry, "verification": verification}}

    def _checkpoint(self, size: int, root: bytes) -> str:
        note = f"log.example.org - 1\n{size}\n{b64(root)}\n"
        signature = b64(key_id(self.log)[:4] + sign(self.log, note.encode()))
        return f"{note}\n\u2014 log.example.org {signature}\n"

    def _node(self, height: int, index: int) -> bytes:
        if height == 0:
            return merkle.leaf_hash(self.entries[index])
        left, right = (self._node(height - 1, 2 * index + side) for side in (0, 1))
        return merkle.node_hash(left, right)

    # --- what people configure ---

    def trusted_root(self) -> dict:
        der = self.root.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "example.org", "commonName": "local sigstore"},
            "uri": self.url,
            "certChain": {"certificates": [{"rawBytes": b64(der)}]},
            "validFor": VALID,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log_instance(self.log)],
            "ctlogs": [self._log_instance(self.certificates_log)],
            "timestampAuthorities": [],
            "certificateAuthorities": [authority],
        }

    def _log_instance(self, key: ec.EllipticCurvePrivateKey) -> dict:
        public = {
            "rawBytes": b64(spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": VALID,
        }
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": public,
            "logId": {"keyId": b64(key_id(key))},
        }

    def client_config(self) -> dict:
        service = {"url": self.url, "majorApiVersion": 1, "validFor": VALID, "operator": "us"}
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service],
            "oidcUrls": [service],
            "rekorTlogUrls": [service],
            "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": signing,
        }


@contextmanager
def serving(instance: LocalSigstore):
    """The instance, answering on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                if self.path == "/api/v2/signingCert":
                    status, answer = 201, self._certificate(asked)
                else:
                    assert self.path == "/api/v1/log/entries"
                    status, answer = 201, instance.keep(asked)
            except jwt.PyJWTError as error:
                status, answer = 401, {"code": 16, "message": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _certificate(self, asked: dict) -> dict:
            request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
            assert request.is_signature_valid
            token = self.headers["authorization"].removeprefix("Bearer ")
            made = instance.certify(request.public_key(), token)
            chain = [one.public_bytes(serialization.Encoding.PEM) for one in (made, instance.root)]
            certificates = [one.decode() for one in chain]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}}

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    instance.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield instance
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _sha256(content: bytes) -> dict:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _der(tag: int, content: bytes) -> bytes:
    """A DER value of less than 64 KiB."""
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content
