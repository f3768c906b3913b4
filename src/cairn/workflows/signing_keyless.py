"""Signs a statement without a key of one's own: a Sigstore instance vouches for the account.

The instance is that of a client trust configuration, which names its certificate authority and
its log and says how to recognise both. Both are asked over the network.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cairn.errors import MissingExtraError, RequestError, UnauthenticatedError, UnavailableError
from cairn.provenance.signing import Bundle, read_bundle
from cairn.provenance.signing.keyless import EXTRA
from cairn.provenance.signing.statements import Statement

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

MEDIA_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


class KeylessSigner:
    """An account at an OpenID Connect provider, as a Sigstore instance knows it.

    Raises:
        MissingExtraError: the `sigstore` library is not installed.
        RequestError: the file is no client trust configuration.
        UnauthenticatedError: the token is no identity token, or it has expired.
    """

    def __init__(self, config: Path, token: str | None) -> None:
        self._config = _read_config(config)
        self._token = token if token is not None else _ambient_token()

    def sign(self, statement: Statement) -> Bundle:
        """The statement, signed by a key that exists only here and now, and logged.

        Raises:
            UnauthenticatedError: the token is no identity token, or it has expired.
            UnavailableError: the certificate authority or the log refused, or was not reached.
        """
        from requests import RequestException
        from sigstore._internal.fulcio.client import FulcioClientError
        from sigstore._internal.rekor import RekorClientError
        from sigstore.dsse import Statement as SigstoreStatement
        from sigstore.errors import Error
        from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken
        from sigstore.sign import SigningContext

        try:
            identity = IdentityToken(self._token)
            with SigningContext.from_trust_config(self._config).signer(identity) as signer:
                made = signer.sign_dsse(SigstoreStatement(statement.as_bytes()))
        except (IdentityError, ExpiredIdentity) as error:
            why = str(error) or "it has expired"
            raise UnauthenticatedError(
                f"the identity token is not accepted: {why}; get a new one"
            ) from error
        except (FulcioClientError, RekorClientError, RequestException, Error) as error:
            why = str(error) or str(error.__cause__)
            raise UnavailableError(f"the Sigstore instance did not sign: {why}") from error
        return read_bundle(made.to_json().encode(), "the bundle")


def _read_config(path: Path) -> "ClientTrustConfig":
    try:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig
    except ImportError:
        raise MissingExtraError(EXTRA) from None
    try:
        config = ClientTrustConfig.from_json(path.read_text())
        _ = config.trusted_root, config.signing_config
    except (Error, ValueError) as error:
        raise RequestError(f"{path}: no Sigstore client trust configuration: {error}") from None
    return config


def _ambient_token() -> str:
    """The identity that the machine has by itself, as jobs of continuous integration have.

    Raises:
        UnauthenticatedError: it has none.
    """
    from sigstore.oidc import IdentityError, detect_credential

    try:
        token = detect_credential()
    except IdentityError as error:
        raise UnauthenticatedError(f"this machine's identity cannot be had: {error}") from error
    if token is None:
        raise UnauthenticatedError(
            "signing without a key needs an identity token: give --identity-token FILE, or set"
            " SIGSTORE_ID_TOKEN"
        )
    return token
