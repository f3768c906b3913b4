"""Signed statements about files: which a model has, who built them; and who is believed."""

from cairn.provenance.signing.bundles import (
    MAX_BUNDLE_BYTES,
    Bundle,
    Signer,
    StatementSigner,
    read_bundle,
)
from cairn.provenance.signing.comparing import ALLOWED_UNSIGNED, Differences, FoundFiles, compare
from cairn.provenance.signing.keyless import TrustedIdentity, check_root
from cairn.provenance.signing.manifests import (
    DEFAULT_IGNORED,
    SIGNATURE_TYPE,
    SignedManifest,
    read_manifest,
)
from cairn.provenance.signing.slsa import (
    PROVENANCE_TYPE,
    BuildInput,
    BuildProvenance,
    InputRole,
    read_provenance,
    subject_digests,
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
    "BuildInput",
    "BuildProvenance",
    "Bundle",
    "DEFAULT_IGNORED",
    "Differences",
    "FoundFiles",
    "InputRole",
    "MAX_BUNDLE_BYTES",
    "PROVENANCE_TYPE",
    "SIGNATURE_TYPE",
    "SignatureCheck",
    "SignedManifest",
    "Signer",
    "Standing",
    "StatementSigner",
    "Trusted",
    "TrustedIdentity",
    "TrustedKey",
    "TrustedRoot",
    "check_root",
    "check_signature",
    "compare",
    "read_bundle",
    "read_manifest",
    "read_provenance",
    "read_trusted",
    "subject_digests",
]
