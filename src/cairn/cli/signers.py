"""Options that say with what a command signs: a key, or an account that Sigstore vouches for."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.options import EXISTING_FILE
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.provenance.signing import StatementSigner

TOKEN_VARIABLE = "SIGSTORE_ID_TOKEN"  # noqa: S105 - a name, as other tools have it


@dataclass(frozen=True, slots=True)
class SignerOptions:
    """What was given on the command line."""

    key: Path | None
    certificate: Path | None
    sigstore: Path | None
    identity_token: Path | None

    @property
    def is_any(self) -> bool:
        """Whether one of them was given."""
        return any((self.key, self.certificate, self.sigstore, self.identity_token))

    def signer(self) -> "StatementSigner":
        """What signs; asks for the passphrase of an encrypted key.

        Raises:
            RequestError: neither or both ways are named, or a file holds something else.
            UnauthenticatedError: there is no identity token.
            MissingExtraError: the library for Sigstore is not installed.
        """
        if (self.key is None) == (self.sigstore is None):
            raise RequestError("sign with a --key, or with --sigstore and an identity token")
        if self.key is not None:
            if self.identity_token is not None:
                raise RequestError("--identity-token goes with --sigstore, not with a --key")
            from cairn.workflows.signing import read_signer

            return read_signer(self.key, self.certificate, ask_passphrase)
        if self.certificate is not None:
            raise RequestError("--certificate goes with a --key; Sigstore makes its own")
        from cairn.workflows.signing_keyless import KeylessSigner

        assert self.sigstore is not None
        return KeylessSigner(self.sigstore, self._token())

    def _token(self) -> str | None:
        if self.identity_token is not None:
            return self.identity_token.read_text().strip()
        return os.environ.get(TOKEN_VARIABLE)


def signer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `SignerOptions`, given to the command one by one."""
    for option in reversed(
        [
            click.option(
                "--key", metavar="FILE", type=EXISTING_FILE, help="Private key in PEM that signs."
            ),
            click.option(
                "--certificate",
                metavar="FILE",
                type=EXISTING_FILE,
                help="Certificates in PEM that say whose key it is: the key's own first, then its"
                " issuers.",
            ),
            click.option(
                "--sigstore",
                metavar="FILE",
                type=EXISTING_FILE,
                help="Sign without a key: client trust configuration of a Sigstore instance.",
            ),
            click.option(
                "--identity-token",
                metavar="FILE",
                type=EXISTING_FILE,
                help=f"Who you are to --sigstore (default: {TOKEN_VARIABLE}, or what the machine of"
                " a CI job has).",
            ),
        ]
    ):
        command = option(command)
    return command


def ask_passphrase() -> str:
    """What a person types for an encrypted key."""
    words: str = click.prompt("Passphrase of the key", hide_input=True, err=True)
    return words
