"""The settings of who people are: passwords, sessions, an OpenID provider, limits, proxies."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from cairn.config.kinds import Names, networks


class SignInSettings(BaseSettings):
    """Fields of `Settings` that say who may sign in, how, and how often they may ask."""

    password_min_characters: int = Field(
        default=8,
        ge=8,
        le=64,
        description="Least length of a new password. NIST SP 800-63B asks for 8, its fourth"
        " revision for 15 where nothing else is asked for.",
    )
    session_idle_s: float = Field(
        default=3 * 24 * 3600.0,
        gt=0,
        description="Seconds without a request after which a browser has to sign in again.",
    )
    session_max_s: float = Field(
        default=14 * 24 * 3600.0,
        gt=0,
        description="Seconds after which a browser has to sign in again in any case.",
    )
    sign_in_account_attempts: int = Field(
        default=20,
        ge=1,
        description="Failed attempts to sign in to one account in 15 minutes before more are"
        " answered 429; sessions and tokens that are there go on.",
    )
    sign_in_address_attempts: int = Field(
        default=100,
        ge=1,
        description="The same from one address (an IPv6 /64 is one).",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID provider people may sign in by: its issuer, exactly as it writes it"
        " (docs/accounts.md). Unset: none.",
    )
    oidc_client_id: str | None = Field(
        default=None, description="What the OpenID provider knows this hub as."
    )
    oidc_client_secret_file: Path | None = Field(
        default=None,
        description="File with the secret the provider gave this hub; unset for a public client.",
    )
    oidc_scopes: Names = Field(
        default=("openid", "profile", "email"), description="What the provider is asked to tell."
    )
    oidc_label: str = Field(
        default="Sign in with OpenID", description="What the button of the provider says."
    )
    oidc_user_name_claim: str = Field(
        default="preferred_username",
        description="Claim a new account is named by; of an address what precedes the @.",
    )
    oidc_creates_accounts: bool = Field(
        default=True,
        description="Whether somebody the provider vouches for gets an account at the first"
        " sign-in, if the name is free; else identities are linked by those who have one.",
    )
    oidc_allowed_domains: Names = Field(
        default=(),
        description="Domains of verified e-mail addresses that may sign in; unset: any.",
    )
    oidc_allowed_groups: Names = Field(
        default=(), description="Groups of which one is needed to sign in; unset: none."
    )
    oidc_groups_claim: str = Field(
        default="groups", description="Claim that lists somebody's groups."
    )
    rate_limit_anonymous: int = Field(
        default=10_000,
        ge=0,
        description="Requests one address may make without an account in a window, of each kind"
        " (API, files, pages); 0: any number. Counted per process (docs/accounts.md).",
    )
    rate_limit_account: int = Field(
        default=50_000,
        ge=0,
        description="Requests one account may make in a window, of each kind; 0: any number.",
    )
    rate_limit_window_s: float = Field(
        default=300.0, ge=1, description="Seconds in which requests are counted."
    )
    trusted_proxies: Annotated[Names, AfterValidator(networks)] = Field(
        default=(),
        description="Addresses and networks of proxies that are believed about who asks:"
        " `X-Forwarded-For`, `X-Forwarded-Proto`. Unset: nobody is.",
    )
