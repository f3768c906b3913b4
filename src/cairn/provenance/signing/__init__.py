"""Signed statements about files: which a model has, who built them; and who is believed."""

from cairn.provenance.signing.bundles import MAX_BUNDLE_BYTES, Bundle, Signer, read_bundle
from cairn.provenance.signing.comparing import ALLOWED_UNSIGNED, Differences, FoundFiles, compare
from cairn.provenance.signing.manifests import (
    DEFAULT_IGNORED,
    SIGNATURE_TYPE,
    SignedManifest,
    read_manifest,
)
from cairn.provenance.signing.trust import (
    SignatureCheck,
    Standing,
    Trusted,
    TrustedKey,
    TrustedRoot,
    check_signature,
    read_trusted,
)

__all__ = [
    "ALLOWED_UNSIGNED",
    "Bundle",
    "DEFAULT_IGNORED",
    "Differences",
    "FoundFiles",
    "MAX_BUNDLE_BYTES",
    "SIGNATURE_TYPE",
    "SignatureCheck",
    "SignedManifest",
    "Signer",
    "Standing",
    "Trusted",
    "TrustedKey",
    "TrustedRoot",
    "check_signature",
    "compare",
    "read_bundle",
    "read_manifest",
    "read_trusted",
]
