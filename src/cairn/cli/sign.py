"""`cairn sign`: say with a key that these are the files, so that anyone can check it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, err, out, print_json, visible
from cairn.cli.options import EXISTING_FILE, LOCAL_PATH, as_json
from cairn.errors import ConflictError, RequestError

if TYPE_CHECKING:
    from cairn.provenance.signing import Bundle
    from cairn.workflows.signing import FilesToSign


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=LOCAL_PATH)
@click.option("--key", metavar="FILE", type=EXISTING_FILE, help="Private key in PEM that signs.")
@click.option(
    "--certificate",
    metavar="FILE",
    type=EXISTING_FILE,
    help="Certificates in PEM that say whose key it is: the key's own first, then its issuers.",
)
@click.option(
    "--signature",
    metavar="FILE",
    type=LOCAL_PATH,
    help="Where to write the bundle (default: model.sig in the folder, FILE.sig beside a file).",
)
@click.option(
    "--hash",
    "algorithm",
    type=click.Choice(["sha256", "blake3"]),
    default="sha256",
    show_default=True,
    help="How files are hashed; blake3 is several times as fast, and not every tool takes it.",
)
@click.option(
    "--git-files",
    is_flag=True,
    help="Sign .gitattributes, .gitignore and .github as well, which model signatures leave out.",
)
@click.option("--force", is_flag=True, help="Overwrite a bundle that is there.")
@click.option("--new-key", metavar="FILE", type=LOCAL_PATH, help="Make a key pair, and no more.")
@click.option("--encrypt", is_flag=True, help="Ask for a passphrase for the new key.")
@as_json
def sign(
    model: Path | None,
    key: Path | None,
    certificate: Path | None,
    signature: Path | None,
    algorithm: str,
    git_files: bool,
    force: bool,
    new_key: Path | None,
    encrypt: bool,
    as_json: bool,
) -> None:
    """Sign a model with a key: OpenSSF Model Signing bundles.

    MODEL is a folder or a file. `cairn verify`, and every other tool for such bundles, checks that
    no file was changed, added, removed or renamed since.

    \b
        cairn sign --new-key release.key
        cairn sign my-model --key release.key
        cairn verify my-model --key release.key.pub
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    if new_key is not None:
        if model is not None or key is not None:
            raise RequestError("--new-key makes a key and signs nothing; give it alone")
        _make_key(new_key, encrypt=encrypt, as_json=as_json)
        return
    if model is None or key is None:
        raise RequestError("name a MODEL and the --key that signs, or make one with --new-key")
    from cairn.workflows.signing import files_to_sign, read_signer, sign_files, usual_bundle

    target = signature or usual_bundle(model)
    signer = read_signer(key, certificate, _ask_passphrase)
    files = files_to_sign(model, target, git_files=git_files)
    if target.exists() and not force:
        raise ConflictError(f"{target} exists already; overwrite it with --force")
    with byte_progress("hashing", files.listing.size_bytes) as progress:
        bundle = sign_files(files, signer, algorithm, progress)
    target.write_bytes(bundle.as_bytes())
    _tell(files, bundle, target, as_json=as_json)


def _make_key(path: Path, *, encrypt: bool, as_json: bool) -> None:
    from cairn.workflows.signing import write_new_key

    words = ""
    if encrypt:
        words = click.prompt(
            "Passphrase for the new key", hide_input=True, confirmation_prompt=True, err=True
        )
    public, fingerprint = write_new_key(path, words)
    if as_json:
        print_json({"private": str(path), "public": str(public), "fingerprint": fingerprint})
        return
    out().print(f"private key  {visible(str(path))}  keep it secret; only you can read it")
    out().print(f"public key   {visible(str(public))}  give it to whoever verifies")
    out().print(f"fingerprint  {fingerprint}")


def _ask_passphrase() -> str:
    words: str = click.prompt("Passphrase of the key", hide_input=True, err=True)
    return words


def _tell(files: "FilesToSign", bundle: "Bundle", target: Path, *, as_json: bool) -> None:
    from cairn.provenance.signing.trust import described

    signer, root = described(bundle.material), bundle.statement.subjects[0].digests["sha256"]
    count = len(files.listing.files)
    if as_json:
        print_json(
            {
                "schema": 1,
                "signature": str(target),
                "signer": signer,
                "files": count,
                "digest": root,
                "left_out": list(files.left_out),
            }
        )
        return
    out().print(f"signed {count:,} file{'s' * (count != 1)} as {visible(signer)}")
    out().print(f"digest     {root}")
    out().print(f"signature  {visible(str(target))}")
    if files.left_out:
        names = ", ".join(visible(path) for path in files.left_out)
        err().print(f"[yellow]note[/yellow] not signed: {names}; see --git-files")
