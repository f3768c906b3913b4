"""`cairn trust`: who may sign the repos of this hub."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import EXISTING_FILE, as_json, data_dir
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.provenance.signing import Trusted

EVERYONE = "*"

namespace_argument = click.argument(
    "namespace", help="User or organisation whose repos may be signed; '*' for all."
)


@click.group(no_args_is_help=True)
def trust() -> None:
    """Say who may sign the repos of which namespace."""


@trust.command()
@namespace_argument
@click.argument(
    "file",
    type=EXISTING_FILE,
    help="A public key or a root certificate in PEM, or a Sigstore trusted root in JSON.",
)
@click.option("--name", help="What pages call the signer (default: the file's name).")
@click.option(
    "--identity", default="", help="Only this holder of a certificate from the root may sign."
)
@click.option(
    "--issuer", metavar="URL", default="", help="Who says who that is, for a Sigstore identity."
)
@data_dir
def add(
    namespace: str, file: Path, name: str | None, identity: str, issuer: str, data: Path | None
) -> None:
    """Believe a key, the holders of certificates from a root, or a Sigstore identity.

    \b
        cairn trust add lab release.key.pub --name "release key 2026"
        cairn trust add '*' company-root.pem --identity release@example.org
        cairn trust add lab trusted_root.json --identity ann@example.org \\
            --issuer https://accounts.example.org
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    from cairn.provenance.signing import TrustedIdentity, check_root, read_trusted

    label, pem = name or file.name, file.read_bytes()
    if not label.isprintable():
        raise RequestError(f"{label!r} is no name that a page can show")
    signer = read_trusted(pem, label, identity, issuer)
    if isinstance(signer, TrustedIdentity):
        check_root(signer)
    catalog = open_hub(data).catalog
    catalog.trusted_signers.add(
        _namespace(namespace), label, pem.decode(), identity, None, issuer=issuer
    )
    out().print(f"{visible(label)} may sign for {visible(namespace)}: {signer.fingerprint}")


@trust.command()
@namespace_argument
@click.argument("name", help="What the signer is called.")
@data_dir
def remove(namespace: str, name: str, data: Path | None) -> None:
    """Believe a signer no more; what it signed is unverified from then on."""
    open_hub(data).catalog.trusted_signers.remove(_namespace(namespace), name, None)
    out().print(f"{visible(name)} may not sign for {visible(namespace)} any more")


@trust.command("list")
@data_dir
@as_json
def list_signers(data: Path | None, as_json: bool) -> None:
    """List who may sign for which namespace."""
    from rich.table import Table

    from cairn.provenance.signing import read_trusted

    signers = [
        (one, read_trusted(one.pem.encode(), one.name, one.identity, one.issuer))
        for one in open_hub(data).catalog.trusted_signers.all()
    ]
    if as_json:
        print_json(
            [
                {
                    "namespace": one.namespace or EVERYONE,
                    "name": one.name,
                    "kind": _kind(trusted),
                    "fingerprint": trusted.fingerprint,
                    "identity": one.identity,
                    "issuer": one.issuer,
                    "added_at": one.added_at.isoformat(),
                }
                for one, trusted in signers
            ]
        )
        return
    if not signers:
        out().print("nobody is trusted to sign; see `cairn trust add --help`")
        return
    table = Table("namespace", "signer", "fingerprint", "identity")
    for one, trusted in signers:
        who = f"{one.identity} ({one.issuer})" if one.issuer else one.identity
        fingerprint = f"{_kind(trusted)} {trusted.fingerprint}"
        words = (one.namespace or EVERYONE, one.name, fingerprint, who)
        table.add_row(*map(visible, words))
    out().print(table)


def _kind(signer: "Trusted") -> str:
    from cairn.provenance.signing import TrustedIdentity, TrustedKey

    if isinstance(signer, TrustedIdentity):
        return "sigstore"
    return "key" if isinstance(signer, TrustedKey) else "root"


def _namespace(text: str) -> str | None:
    return None if text == EVERYONE else text
