"""Opens the rooms named by the settings: the one place where choices become objects."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cairn.catalog import Catalog, SignInRules, open_catalog
from cairn.config import Settings
from cairn.domain import Quota, Scope
from cairn.errors import UnavailableError
from cairn.formats import READERS
from cairn.provenance.log import Signatory
from cairn.scanner.advisories import AdvisoryShelf
from cairn.store import FAST, SMALL, BlobStore, Profile, open_local_store
from cairn.workflows.house import House

FIRST_ADMIN = "admin"
FIRST_TOKEN_NAME = "first-start"  # noqa: S105 - the token's label, not a secret
MIN_SECRET_CHARS = 32


def open_house(settings: Settings) -> House:
    """Open catalog and store, creating and migrating what is not there yet.

    Raises:
        UnavailableError: the data directory cannot be created or the database not reached.
    """
    try:
        # Private repos, e-mail addresses and hashes lie inside: no other user may look.
        settings.data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        settings.store_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"cannot use data directory {settings.data_dir}: {error.strerror}"
        ) from error
    return House(
        catalog=open_catalog(settings.resolved_database_url(), rules=_sign_in_rules(settings)),
        store=_store_of_hub(settings.store_dir),
        readers=READERS.extended(settings.readers),
        clock=lambda: datetime.now(UTC),
        signatory=_signatory(settings),
        default_quota=Quota(settings.quota_logical_bytes, settings.quota_stored_bytes),
        advisories=AdvisoryShelf(settings.advisories_dir),
    )


def _sign_in_rules(settings: Settings) -> SignInRules:
    return SignInRules(
        settings.session_idle_s, settings.session_max_s, settings.password_min_characters
    )


def _signatory(settings: Settings) -> Signatory:
    """Whoever signs the transparency log; a new log is called after the hub's address."""
    address = (settings.public_url or "").partition("://")[2].rstrip("/")
    return Signatory(
        settings.log_key_file or settings.data_dir / "log-key",
        settings.data_dir / "log-head",
        f"{address}/api/cairn/log" if address else None,
    )


def _store_of_hub(folder: Path) -> BlobStore:
    """The store, marked so that commands which know nothing of revisions free nothing in it."""
    store = open_local_store(folder)
    store.hub_mark.leave()
    return store


def profiles_of(settings: Settings) -> dict[str, Profile]:
    """The profiles by name, with chains as the settings allow them."""
    chains = {FAST: settings.fast_max_depth, SMALL: settings.small_max_depth}
    return {profile.name: profile.up_to(chain) for profile, chain in chains.items()}


def first_admin_token(catalog: Catalog, settings: Settings) -> str | None:
    """On the first start make the admin and return its token; later starts return None.

    The token is also written to `settings.admin_token_file`, readable by the owner only.

    Raises:
        UnavailableError: that file cannot be written; no admin is made.
    """
    if not catalog.accounts.is_empty():
        return None
    if settings.admin_token_file is not None:
        try:
            _write_private(settings.admin_token_file, "")  # a token made in vain would be lost
        except OSError as error:
            raise UnavailableError(
                f"cannot write the admin token to {settings.admin_token_file}: {error.strerror}"
            ) from error
    catalog.accounts.create_user(FIRST_ADMIN, full_name="Administrator", is_admin=True)
    token = catalog.tokens.create(FIRST_ADMIN, FIRST_TOKEN_NAME, Scope.WRITE)
    if settings.admin_token_file is not None:
        _write_private(settings.admin_token_file, token)
    return token


def signing_secret(settings: Settings) -> bytes:
    """The key for signed URLs and Xet tokens: the setting, or one kept in the data directory.

    Raises:
        UnavailableError: the kept key is unreadable or too short to be one of ours.
    """
    if settings.secret is not None:
        return settings.secret.encode()
    path = settings.data_dir / "secret"
    if not path.exists():
        _create_secret(path)
    text = path.read_text().strip()
    if len(text) < MIN_SECRET_CHARS:
        raise UnavailableError(
            f"{path} does not hold a signing secret; delete it to make a new one"
        )
    return text.encode()


def _create_secret(path: Path) -> None:
    """Two hubs may start at once: whoever links first wins, the other reads the winner's."""
    draft = path.with_name(f"secret.{secrets.token_hex(8)}")
    _write_private(draft, secrets.token_urlsafe(48))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
