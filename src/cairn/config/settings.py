"""Every setting of a Cairn installation, its default, and where it may be given.

Settings come from, weakest first: the defaults below, a TOML file (`cairn.toml` in the
data directory, or the file named by `CAIRN_CONFIG`), then `CAIRN_*` environment
variables. They are read once, in `bootstrap`; nothing else looks at the environment.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cairn.config.kinds import Names, web_address
from cairn.config.prices import PriceSettings
from cairn.config.sign_in import SignInSettings
from cairn.errors import RequestError

MIB = 1 << 20
GIB = 1 << 30


class Settings(PriceSettings, SignInSettings):
    """The settings; each field is also the environment variable `CAIRN_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="CAIRN_", extra="forbid", frozen=True)

    data_dir: Path = Field(
        default=Path("cairn-data"),
        description="Folder that holds the embedded database, the store and the signing secret.",
    )
    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL; unset means SQLite in the data directory."
        " PostgreSQL: postgresql+psycopg://user:password@host/database.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8400, ge=0, le=65535, description="TCP port to listen on.")
    public_url: Annotated[str | None, AfterValidator(web_address)] = Field(
        default=None,
        description="URL under which clients reach the hub, with a path prefix if there is one."
        " Unset: taken from each request's Host header, if allowed_hosts admits it.",
    )
    allowed_hosts: Names = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Host names accepted in the Host header, besides the listen address and the"
        " host of public_url; others get 400. '*' accepts any.",
    )
    secret: str | None = Field(
        default=None,
        min_length=32,
        description="Key that signs upload URLs and Xet tokens; every replica needs the same."
        " Unset: generated once into the data directory.",
    )
    admin_token_file: Path | None = Field(
        default=None,
        description="File that gets the first administrator's token at first start (mode 0600).",
    )
    log_key_file: Path | None = Field(
        default=None,
        description="File with the key that signs the transparency log (docs/security/log.md);"
        " every replica needs the same. Unset: made once in the data directory.",
    )
    sendfile: Literal["off", "x-accel"] = Field(
        default="off",
        description="'x-accel' lets an nginx in front send raw blobs (docs/deployment-nginx.md).",
    )
    x_accel_prefix: str = Field(
        default="/_cairn_store/",
        description="nginx's internal location for the store folder, when sendfile is x-accel.",
    )
    readers: Names = Field(
        default=(), description="Third-party reader plug-ins to load, by entry-point name."
    )
    safetensors_views: bool = Field(
        default=False,
        description="Clients that ask for model.safetensors where only pytorch_model.bin is get"
        " it made from that (docs/http.md); owners may decide otherwise for a repo.",
    )
    optimize: bool = Field(
        default=True, description="Rewrite landed blobs as tensors in the background."
    )
    fast_bytes: int = Field(
        default=16 * GIB,
        ge=0,
        description="Most bytes of files that the hub keeps to be read fast instead of small: the"
        " newest of the repos that are downloaded most, then of those changed last (docs/store.md)."
        " 0: it changes no file's profile.",
    )
    small_max_depth: int = Field(
        default=5,
        ge=0,
        le=16,
        description="How many others a part may be read through, in files kept to be small;"
        " casts one more. The hub remakes files in which they are more.",
    )
    fast_max_depth: int = Field(
        default=1,
        ge=0,
        le=16,
        description="How many others a part may be read through, in files kept to be read fast.",
    )
    optimize_delay_s: float = Field(
        default=5.0, ge=0, description="Seconds without new uploads before a pass starts."
    )
    optimize_cpu_share: float | None = Field(
        default=None,
        gt=0,
        description="Most of one core that a hub may use on average while it optimizes, requests"
        " included, such as 0.5; unset: as much as there is.",
    )
    verify_every_s: float = Field(
        default=30 * 24 * 3600.0,
        ge=0,
        description="Seconds in which a hub reads all that it keeps back once, spread evenly, to"
        " find damage; 0: never.",
    )
    scan_policy: Literal["hold", "warn", "allow"] = Field(
        default="hold",
        description="What scans decide: `hold` scans a file before anybody but writers gets it"
        " and keeps malicious ones back; `warn` gives all out and says what was found; `allow`"
        " gives all out and scans nothing. Administrators may decide otherwise while the hub"
        " runs, for all of it or for single repos (docs/security/hub.md).",
    )
    tensor_health: bool = Field(
        default=True, description="Measure the values of pushed tensors in the background."
    )
    gc_grace_s: float = Field(
        default=24 * 3600.0,
        ge=0,
        description="Seconds an unreferenced blob is kept before gc may remove it.",
    )
    quota_logical_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Most bytes of different files a namespace may have, unless `cairn user quota`"
        " or `cairn org quota` gave it another limit; unset: no limit.",
    )
    quota_stored_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Most bytes on disk, as counted every hour, at which a namespace may still add"
        " files; unset: no limit.",
    )
    signed_url_ttl_s: float = Field(
        default=12 * 3600.0, gt=0, description="Seconds a signed upload URL stays valid."
    )
    xet_epoch_s: float = Field(
        default=24 * 3600.0,
        ge=60,
        description="Seconds one Xet deduplication scope lasts; staged xorbs go after two.",
    )
    xet_listed_chunks: int = Field(
        default=8_000_000,
        ge=0,
        description="Chunks of kept blobs that Xet clients need not send again; each takes 40 bytes"
        " in the database and stands for about 64 KiB. Those unused for longest are forgotten.",
    )
    lfs_multipart_threshold_bytes: int = Field(
        default=5 * GIB,
        ge=1,
        description="LFS objects larger than this are uploaded in parts (5 GiB is the most"
        " a single S3 PUT takes).",
    )
    lfs_part_bytes: int = Field(
        default=256 * MIB, ge=1, description="Size of one part of a multipart LFS upload."
    )
    max_file_bytes: int = Field(
        default=500 * GIB, ge=1, description="Largest single file accepted."
    )
    max_regular_file_bytes: int = Field(
        default=10 * MIB,
        ge=1,
        description="Files of this size and above go through LFS or Xet whatever their name.",
    )
    max_commit_body_bytes: int = Field(
        default=GIB, ge=1, description="Largest body of one commit request."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log level written to standard error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values beat the environment, which beats the TOML file."""
        del dotenv_settings, file_secret_settings
        file = _config_file(init_settings().get("data_dir"))
        toml = TomlConfigSettingsSource(settings_cls, toml_file=file)
        return init_settings, env_settings, toml

    def resolved_database_url(self) -> str:
        """The database URL, with the embedded SQLite file as default."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'cairn.db'}"

    @property
    def store_dir(self) -> Path:
        """Root folder of the local store."""
        return self.data_dir.absolute() / "store"

    @property
    def advisories_dir(self) -> Path:
        """Where imported advisories are kept."""
        return self.data_dir.absolute() / "advisories"


def _config_file(data_dir: object) -> Path:
    named = os.environ.get("CAIRN_CONFIG")
    if named:
        return Path(named)
    folder = data_dir or os.environ.get("CAIRN_DATA_DIR") or "cairn-data"
    return Path(str(folder)) / "cairn.toml"


def load_settings(**explicit: object) -> Settings:
    """Read the settings; `explicit` values (from the command line) win.

    Raises:
        RequestError: a value is of the wrong kind, out of range, or unknown.
    """
    named = os.environ.get("CAIRN_CONFIG")
    if named and not Path(named).is_file():
        raise RequestError(f"CAIRN_CONFIG names {named}, which is not a file")
    _refuse_misspelt_variables()
    given = {key: value for key, value in explicit.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(_problem(e["type"], e["loc"], e["msg"]) for e in error.errors())
        raise RequestError(f"settings: {problems}") from error
    except ValueError as error:  # a TOML file that does not parse
        file = _config_file(given.get("data_dir"))
        raise RequestError(f"settings: {file}: {error}") from error


def _problem(kind: str, where: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(step) for step in where)
    if kind == "extra_forbidden":
        return f"there is no setting {name!r}{_did_you_mean(name)}; docs/settings.md lists them"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _refuse_misspelt_variables() -> None:
    """Other programs may have variables that begin with CAIRN_; one close to ours is a slip."""
    for variable in os.environ:
        name = variable.removeprefix("CAIRN_").lower()
        if variable.startswith("CAIRN_") and name not in (*Settings.model_fields, "config"):
            hint = _did_you_mean(name, "CAIRN_")
            if hint:
                raise RequestError(f"settings: {variable} sets nothing{hint}")


def _did_you_mean(name: str, prefix: str = "") -> str:
    # 0.75 takes PROT for PORT and LOGLEVEL for LOG_LEVEL, and leaves Kubernetes' SERVICE_PORT.
    close = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.75)
    if not close:
        return ""
    return f"; did you mean {prefix + close[0].upper() if prefix else close[0]}?"
