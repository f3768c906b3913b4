"""`cairn sign`: say with a key that these are the files, so that anyone can check it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, err, out, print_json, visible
from cairn.cli.options import LOCAL_PATH, MAIN, as_json, data_dir, hub_options
from cairn.cli.revisions import revisions_at
from cairn.cli.signers import SignerOptions, signer_options
from cairn.cli.targets import LocalTarget, RepoTarget, parse_target
from cairn.errors import ConflictError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cairn.cli.revisions import Revisions
    from cairn.provenance.signing import Bundle, StatementSigner

DEFAULT_HASH = "sha256"


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@signer_options
@click.option(
    "--signature",
    metavar="FILE",
    type=LOCAL_PATH,
    help="Where to write the bundle (default: model.sig in the folder, FILE.sig beside a file).",
)
@click.option(
    "--hash",
    "algorithm",
    type=click.Choice([DEFAULT_HASH, "blake3"]),
    default=DEFAULT_HASH,
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
@hub_options
@data_dir
@as_json
def sign(
    model: str | None,
    key: Path | None,
    certificate: Path | None,
    sigstore: Path | None,
    identity_token: Path | None,
    signature: Path | None,
    algorithm: str,
    git_files: bool,
    force: bool,
    new_key: Path | None,
    encrypt: bool,
    hub: str | None,
    token: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Sign a model: OpenSSF Model Signing bundles.

    MODEL is a folder, a file, or a revision on a hub: org/name@revision. `cairn verify`, and every
    other tool for such bundles, checks that no file was changed, added, removed or renamed since.
    A revision is signed as the hub lists it, without its files being fetched, and the bundle is
    attached to it.

    \b
        cairn sign --new-key release.key
        cairn sign my-model --key release.key
        cairn verify my-model --key release.key.pub
        cairn sign my-model --sigstore client_trust_config.json --identity-token token
        cairn sign org/name@main --key release.key --hub http://localhost:8400
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    given = SignerOptions(key, certificate, sigstore, identity_token)
    if new_key is not None:
        if model is not None or given.is_any:
            raise RequestError("--new-key makes a key and signs nothing; give it alone")
        _make_key(new_key, encrypt=encrypt, as_json=as_json)
        return
    if model is None:
        raise RequestError("name a MODEL and the --key that signs, or make one with --new-key")
    target = parse_target(model)
    signer = given.signer()
    if isinstance(target, LocalTarget):
        if hub is not None:
            raise RequestError(f"{model} is here: sign it, and give the bundle to `cairn attach`")
        made = _sign_files(target.path, signature, signer, algorithm, force, git_files)
    elif signature is not None or algorithm != DEFAULT_HASH:
        raise RequestError("a hub keeps the bundle itself and hashes by SHA-256")
    else:
        made = _sign_revision(target, revisions_at(hub, token, data), signer, git_files)
    _tell(*made, as_json=as_json)


def _sign_files(
    model: Path,
    signature: Path | None,
    signer: "StatementSigner",
    algorithm: str,
    force: bool,
    git_files: bool,
) -> tuple["Bundle", str, "Sequence[str]"]:
    """Write the bundle; returns it, where it is and what it leaves out."""
    from cairn.workflows.signing import files_to_sign, sign_files, usual_bundle

    target = signature or usual_bundle(model)
    files = files_to_sign(model, target, git_files=git_files)
    if target.exists() and not force:
        raise ConflictError(f"{target} exists already; overwrite it with --force")
    with byte_progress("hashing", files.listing.size_bytes) as progress:
        bundle = sign_files(files, signer, algorithm, progress)
    target.write_bytes(bundle.as_bytes())
    return bundle, str(target), files.left_out


def _sign_revision(
    target: RepoTarget, revisions: "Revisions", signer: "StatementSigner", git_files: bool
) -> tuple["Bundle", str, "Sequence[str]"]:
    """Attach the bundle; returns it, the revision it is attached to and what it leaves out."""
    from cairn.workflows.signing import sign_digests

    commit, digests = revisions.digests(target.repo_id, target.revision or MAIN)
    bundle, left_out = sign_digests(target.repo_id.name, digests, signer, git_files=git_files)
    revisions.attach(target.repo_id, commit, bundle.as_bytes())
    return bundle, f"{target.repo_id}@{commit}", left_out


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


def _tell(bundle: "Bundle", where: str, left_out: "Sequence[str]", *, as_json: bool) -> None:
    from cairn.provenance.signing.trust import described

    signer, root = described(bundle.material), bundle.statement.subjects[0].digests["sha256"]
    count = len(bundle.statement.predicate["resources"])
    if as_json:
        shown = {"signature": where, "signer": signer, "files": count, "digest": root}
        print_json({"schema": 1, **shown, "left_out": list(left_out)})
        return
    out().print(f"signed {count:,} file{'s' * (count != 1)} as {visible(signer)}")
    out().print(f"digest     {root}")
    out().print(f"signature  {visible(where)}")
    if left_out:
        names = ", ".join(visible(path) for path in left_out)
        err().print(f"[yellow]note[/yellow] not signed: {names}; see --git-files")
