"""Chains of certificates: only a leaf for signatures, valid now, from a trusted root, counts."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509

from cairn.errors import RequestError
from cairn.provenance.signing import (
    Bundle,
    SignedManifest,
    Signer,
    Standing,
    TrustedRoot,
    check_signature,
)
from tests.provenance.models import NOW, UNTIL, certificate, new_key

ROOT_KEY, ISSUER_KEY, LEAF_KEY = new_key(), new_key(), new_key()
ROOT = certificate("root", ROOT_KEY, "root", ROOT_KEY, is_ca=True)
ISSUER = certificate("issuer", ISSUER_KEY, "root", ROOT_KEY, is_ca=True)
LEAF = certificate("ann", LEAF_KEY, "issuer", ISSUER_KEY)


def signed_by(*chain: x509.Certificate, key=LEAF_KEY) -> Bundle:
    return Signer(key, chain).sign(SignedManifest("m", {"a": "ab" * 32}).statement())


def test_a_chain_to_the_root_is_trusted_by_the_name_of_its_leaf() -> None:
    found = check_signature(signed_by(LEAF, ISSUER), [TrustedRoot("company", ROOT)], NOW)
    assert found.standing is Standing.TRUSTED
    assert found.signer == "ann (company)"


def test_only_the_identity_that_is_named_may_sign() -> None:
    bundle = signed_by(LEAF, ISSUER)
    assert (
        check_signature(bundle, [TrustedRoot("c", ROOT, "ann")], NOW).standing is Standing.TRUSTED
    )
    found = check_signature(bundle, [TrustedRoot("c", ROOT, "bob")], NOW)
    assert found.standing is Standing.UNKNOWN
    assert "only bob" in found.reason


def test_addresses_in_a_certificate_go_before_its_common_name() -> None:
    names = x509.SubjectAlternativeName([x509.RFC822Name("ann@example.org")])
    leaf = certificate(
        "root", LEAF_KEY, "issuer", ISSUER_KEY, change=lambda b: b.add_extension(names, False)
    )
    bundle = signed_by(leaf, ISSUER)
    for identity, standing in (("ann@example.org", Standing.TRUSTED), ("root", Standing.UNKNOWN)):
        trusted = [TrustedRoot("c", ROOT, identity)]
        assert check_signature(bundle, trusted, NOW).standing is standing


EVIL_KEY = new_key()


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        pytest.param(lambda: [LEAF], "trusted root", id="without the issuer between"),
        pytest.param(
            lambda: [certificate("ann", LEAF_KEY, "ann", LEAF_KEY)],
            "trusted root",
            id="self-signed",
        ),
        pytest.param(
            lambda: [
                certificate("ann", LEAF_KEY, "issuer", EVIL_KEY),
                certificate("issuer", EVIL_KEY, "root", EVIL_KEY, is_ca=True),
            ],
            "trusted root",
            id="a root of the same name",
        ),
        pytest.param(
            lambda: [
                certificate("ann", LEAF_KEY, "bob", EVIL_KEY),
                certificate("bob", EVIL_KEY, "issuer", ISSUER_KEY),
                ISSUER,
            ],
            "cA must be",
            id="issued by somebody who may not issue",
        ),
        pytest.param(
            lambda: [
                certificate(
                    "ann",
                    LEAF_KEY,
                    "issuer",
                    ISSUER_KEY,
                    until=NOW - timedelta(days=1),
                ),
                ISSUER,
            ],
            "valid from",
            id="expired",
        ),
        pytest.param(
            lambda: [certificate("ann", LEAF_KEY, "issuer", ISSUER_KEY, may_sign=False), ISSUER],
            "not for signatures",
            id="not for signatures",
        ),
    ],
)
def test_a_wrong_chain_is_not_trusted(
    chain: Callable[[], list[x509.Certificate]], words: str
) -> None:
    found = check_signature(signed_by(*chain()), [TrustedRoot("c", ROOT)], NOW)
    assert found.standing is Standing.UNKNOWN
    assert words in found.reason


def test_an_issuer_whose_key_is_not_for_certificates_is_not_trusted() -> None:
    issuer = certificate(
        "issuer", ISSUER_KEY, "root", ROOT_KEY, is_ca=True, may_sign=True, may_issue=False
    )
    found = check_signature(signed_by(LEAF, issuer), [TrustedRoot("c", ROOT)], NOW)
    assert found.standing is Standing.UNKNOWN
    assert "may not sign certificates" in found.reason


def test_an_expired_issuer_is_not_trusted() -> None:
    late = UNTIL + timedelta(days=1)
    leaf = certificate("ann", LEAF_KEY, "issuer", ISSUER_KEY, until=late)
    found = check_signature(signed_by(leaf, ISSUER), [TrustedRoot("c", ROOT)], late)
    assert found.standing is Standing.UNKNOWN


def test_a_chain_with_the_signature_of_another_key_is_invalid() -> None:
    stolen = signed_by(LEAF, ISSUER)
    other = Signer(EVIL_KEY).sign(stolen.statement)
    forged = Bundle(other.envelope, stolen.material, stolen.statement)
    found = check_signature(forged, [TrustedRoot("c", ROOT)], NOW)
    assert found.standing is Standing.INVALID


def test_a_key_does_not_sign_with_the_certificate_of_another() -> None:
    with pytest.raises(RequestError, match="not that of the key"):
        Signer(EVIL_KEY, (LEAF,))
