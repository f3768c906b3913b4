"""The provider that the settings name, opened once per process."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from cairn.config import Settings
from cairn.errors import RequestError, UnavailableError
from cairn.hub.oidc.fetching import check_address
from cairn.hub.oidc.flow import Client
from cairn.hub.oidc.id_token import Admission
from cairn.hub.oidc.provider import Provider


@dataclass(frozen=True)
class Oidc:
    """All that signing in by the provider needs; `label` is what its button says."""

    provider: Provider
    client: Client
    admission: Admission
    creates_accounts: bool
    label: str


def oidc_of(request: Request) -> Oidc | None:
    """The hub's provider; None if it has none."""
    found: Oidc | None = request.app.state.oidc
    return found


def open_oidc(settings: Settings) -> Oidc | None:
    """The provider of the settings. It is not asked anything yet: a hub starts without it.

    Raises:
        RequestError: the settings name an issuer and no client, or it is not https.
        UnavailableError: the file with the secret cannot be read.
    """
    if settings.oidc_issuer is None:
        return None
    if not settings.oidc_client_id:
        raise RequestError("CAIRN_OIDC_ISSUER needs CAIRN_OIDC_CLIENT_ID beside it")
    check_address(settings.oidc_issuer, "CAIRN_OIDC_ISSUER")
    return Oidc(
        Provider(settings.oidc_issuer),
        Client(
            settings.oidc_client_id,
            _secret(settings.oidc_client_secret_file),
            settings.oidc_scopes,
        ),
        Admission(
            settings.oidc_user_name_claim,
            frozenset(name.lower() for name in settings.oidc_allowed_domains),
            frozenset(settings.oidc_allowed_groups),
            settings.oidc_groups_claim,
        ),
        settings.oidc_creates_accounts,
        settings.oidc_label,
    )


def _secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"cannot read CAIRN_OIDC_CLIENT_SECRET_FILE: {error}") from None
