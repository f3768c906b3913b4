"""`cairn verify`: whether somebody trusted signed exactly these files."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, err, out, print_json, visible
from cairn.cli.options import EXISTING_FILE, LOCAL_PATH, as_json, data_dir
from cairn.cli.targets import RepoTarget, parse_target
from cairn.cli.verify_revision import verify_revision
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.provenance.signing import Trusted
    from cairn.workflows.verifying import Verification


def trust_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Who may have signed: what `trusted_by` takes, given to the command one by one."""
    for option in reversed(
        [
            click.option(
                "--key",
                "keys",
                metavar="FILE",
                type=EXISTING_FILE,
                multiple=True,
                help="Public key in PEM that may have signed. May be given several times.",
            ),
            click.option(
                "--trust",
                "roots",
                metavar="FILE",
                type=EXISTING_FILE,
                multiple=True,
                help="Root certificate in PEM whose holders may have signed. May be given several"
                " times.",
            ),
            click.option(
                "--identity",
                default="",
                help="Only the holder of this name: an address, URI, host or name.",
            ),
            click.option(
                "--sigstore",
                metavar="FILE",
                type=EXISTING_FILE,
                help="Sigstore trusted root (trusted_root.json) that vouches for --identity.",
            ),
            click.option(
                "--issuer", metavar="URL", default="", help="Who says who a Sigstore identity is."
            ),
        ]
    ):
        command = option(command)
    return command


@click.command()
@click.argument("model", metavar="MODEL")
@trust_options
@click.option(
    "--signature",
    metavar="FILE",
    type=LOCAL_PATH,
    help="The bundle (default: model.sig in the folder, FILE.sig beside a file).",
)
@click.option(
    "--allow-unsigned",
    metavar="PATH",
    multiple=True,
    help="Let this path, and all below it, lie there unsigned, such as .git in a clone.",
)
@click.option(
    "--follow-links",
    is_flag=True,
    help="Follow links to files, of which the cache of Hugging Face clients is made.",
)
@data_dir
@as_json
def verify(
    model: str,
    keys: tuple[Path, ...],
    roots: tuple[Path, ...],
    identity: str,
    sigstore: Path | None,
    issuer: str,
    signature: Path | None,
    allow_unsigned: tuple[str, ...],
    follow_links: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check that somebody trusted signed exactly these files.

    MODEL is a folder or a file with an OpenSSF Model Signing bundle. Whatever was changed, added,
    removed, renamed or made a link is named. What the signer left out is named too and fails the
    check, except .gitattributes and .gitignore. MODEL may also be a revision of the hub kept here,
    org/name@revision: then those count whom `cairn trust` names.

    Exit codes: 0 verified; 1 not: another signer, or other files; 3 no signature; 6 the bundle is
    malformed.

    \b
        cairn verify my-model --key release.key.pub
        cairn verify my-model --trust company-root.pem --identity release@example.org
        cairn verify my-model --sigstore trusted_root.json \\
            --identity ann@example.org --issuer https://accounts.example.org
        cairn verify org/name@main --data DIR
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    from datetime import UTC, datetime

    from cairn.provenance.signing import ALLOWED_UNSIGNED
    from cairn.workflows.signing import usual_bundle
    from cairn.workflows.verifying import Tolerance, verify_files

    target = parse_target(model)
    if isinstance(target, RepoTarget):
        if keys or roots or identity or sigstore or signature or allow_unsigned or follow_links:
            raise RequestError("a revision is verified against `cairn trust` alone: no options")
        verify_revision(target, data, as_json=as_json)
        return
    trusted = trusted_by(keys, roots, sigstore, identity, issuer)
    tolerance = Tolerance((*ALLOWED_UNSIGNED, *allow_unsigned), follow_links)
    with _begun_progress() as begin:
        found = verify_files(
            target.path,
            signature or usual_bundle(target.path),
            trusted,
            tolerance,
            datetime.now(UTC),
            begin=begin,
        )
    if as_json:
        print_json(_described(found))
    else:
        _print(found)
    if not found.is_verified:
        sys.exit(1)


@contextmanager
def _begun_progress() -> Iterator[Callable[[int], Callable[[int], None]]]:
    """A progress bar that appears once the number of bytes is known."""
    with ExitStack() as stack:
        yield lambda total: stack.enter_context(byte_progress("hashing", total))


def trusted_by(
    keys: tuple[Path, ...],
    roots: tuple[Path, ...],
    sigstore: Path | None,
    identity: str,
    issuer: str,
) -> list["Trusted"]:
    """Those whom the options of a command name.

    Raises:
        RequestError: nobody, or by options that do not go together.
    """
    from cairn.provenance.signing import TrustedIdentity, check_root, read_trusted

    if not keys and not roots and sigstore is None:
        raise RequestError(
            "say who may have signed: --key with a public key, --trust with a root certificate, or"
            " --sigstore with a trusted root and --identity"
        )
    if identity and not roots and sigstore is None:
        raise RequestError(
            "--identity names the holder of a certificate; give --trust or --sigstore as well"
        )
    if issuer and sigstore is None:
        raise RequestError("--issuer goes with a Sigstore identity; give --sigstore as well")
    trusted = [
        *(read_trusted(path.read_bytes(), str(path)) for path in keys),
        *(read_trusted(path.read_bytes(), str(path), identity) for path in roots),
    ]
    if sigstore is not None:
        root = sigstore.read_text(errors="replace")
        account = TrustedIdentity(str(sigstore), root, identity, issuer)
        check_root(account)
        trusted.append(account)
    return trusted


def _described(found: "Verification") -> dict[str, Any]:
    shown: dict[str, Any] = {
        "schema": 1,
        "verified": found.is_verified,
        "signature": found.signature.standing.value,
        "signer": found.signature.signer,
        "reason": found.signature.reason,
        "files": len(found.manifest.digests),
        "digest": found.manifest.root_digest,
        "differences": None,
    }
    if (differences := found.differences) is not None:
        shown["differences"] = {
            "changed": list(differences.changed),
            "renamed": [{"from": old, "to": new} for old, new in differences.renamed],
            "removed": list(differences.removed),
            "added": list(differences.added),
            "left_out": list(differences.left_out),
            "others": dict(differences.others),
            "allowed": list(differences.allowed),
        }
    return shown


def _print(found: "Verification") -> None:
    signer = visible(found.signature.signer)
    if found.differences is None:
        why = visible(found.signature.reason)
        out().print(f"[red]not verified[/red]: the signature is {found.signature.standing.value}")
        out().print(f"{why}; the files were not compared")
        return
    if found.is_verified:
        count = len(found.manifest.digests)
        out().print(
            f"[green]verified[/green]: {count:,} file{'s' * (count != 1)} as {signer} signed"
        )
    else:
        out().print(f"[red]not verified[/red]: the files are not those that {signer} signed")
        for sentence in found.differences.sentences():
            out().print(f"  {visible(sentence)}")
    if found.differences.allowed:
        names = ", ".join(visible(path) for path in found.differences.allowed)
        err().print(f"[yellow]note[/yellow] not signed, and allowed: {names}")
