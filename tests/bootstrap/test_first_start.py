"""What the first start of a hub leaves behind, and that later ones leave it alone."""

from pathlib import Path

import pytest

from cairn.bootstrap import first_admin_token, open_house, signing_secret
from cairn.config import Settings
from cairn.errors import IntegrityError, UnavailableError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_first_start_makes_an_admin_and_later_ones_do_not(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", admin_token_file=tmp_path / "token")
    token = first_admin_token(open_house(settings).catalog, settings)
    assert token is not None
    catalog = open_house(settings).catalog
    assert catalog.accounts.get("admin").is_admin
    assert (tmp_path / "token").read_text() == token + "\n"
    assert first_admin_token(catalog, settings) is None


def test_no_admin_is_made_whose_token_cannot_be_handed_over(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", admin_token_file=tmp_path / "no" / "token")
    catalog = open_house(settings).catalog
    with pytest.raises(UnavailableError, match="cannot write the admin token"):
        first_admin_token(catalog, settings)
    assert catalog.accounts.is_empty()


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "cairn.db").write_bytes(b"no database" * 100)
    with pytest.raises(IntegrityError, match="database is damaged"):
        open_house(Settings(data_dir=tmp_path))


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", admin_token_file=tmp_path / "token")
    first_admin_token(open_house(settings).catalog, settings)
    signing_secret(settings)
    assert mode(tmp_path / "token") == mode(settings.data_dir / "secret") == 0o600


def test_the_signing_secret_outlives_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert signing_secret(settings) == signing_secret(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_secret_cut_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short\n")
    with pytest.raises(UnavailableError, match="does not hold a signing secret"):
        signing_secret(Settings(data_dir=tmp_path))


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot use data directory"):
        open_house(Settings(data_dir=tmp_path / "file" / "data"))


def test_a_new_data_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    open_house(Settings(data_dir=tmp_path / "data"))
    assert mode(tmp_path / "data") & 0o007 == 0
