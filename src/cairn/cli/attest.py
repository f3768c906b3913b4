"""`cairn attest`: state who built a revision, from what and how."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import out, visible
from cairn.cli.options import MAIN, data_dir, hub_options
from cairn.cli.revisions import Revisions, revisions_at
from cairn.cli.signers import SignerOptions, signer_options
from cairn.cli.targets import parse_repo
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.provenance.signing import BuildInput
    from cairn.workflows.attesting import RepoFound

DEFAULT_BUILD_TYPE = "urn:cairn:build"


def _input(name: str, words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    forms = "A file here, a repo of the hub, URI@sha256:HEX or URI@COMMIT; may be repeated."
    return click.option(f"--{name}", name, metavar="INPUT", multiple=True, help=f"{words} {forms}")


@click.command()
@click.argument("repo", help="The revision that was built: org/name@revision.")
@signer_options
@click.option("--builder", metavar="URI", required=True, help="Who ran the build.")
@click.option(
    "--build-type",
    metavar="URI",
    default=DEFAULT_BUILD_TYPE,
    show_default=True,
    help="The recipe: what the parameters mean.",
)
@_input("base", "The model it began with.")
@_input("dataset", "Data it was made with.")
@_input("code", "The program that made it.")
@_input("environment", "What that ran in, such as a lock file.")
@click.option(
    "--parameter", "parameters", metavar="NAME=VALUE", multiple=True, help="May be repeated."
)
@hub_options
@data_dir
def attest(
    repo: str,
    key: Path | None,
    certificate: Path | None,
    sigstore: Path | None,
    identity_token: Path | None,
    builder: str,
    build_type: str,
    base: tuple[str, ...],
    dataset: tuple[str, ...],
    code: tuple[str, ...],
    environment: tuple[str, ...],
    parameters: tuple[str, ...],
    hub: str | None,
    token: str | None,
    data: Path | None,
) -> None:
    """State who built a revision, from what and how: SLSA provenance.

    The statement names every file of the revision by its SHA-256 and every input by a digest, is
    signed, and attached to the revision.

    \b
        cairn attest org/tuned@main --key ci.key --builder https://ci.example.org/train \\
            --base org/base@main --dataset datasets/org/corpus@v1 --environment requirements.txt \\
            --code git+https://example.org/train@<commit> --hub http://localhost:8400
    """  # noqa: D301 - click keeps the lines of a block that starts with a backspace
    from cairn.provenance.signing import BuildProvenance, InputRole
    from cairn.workflows.attesting import attest as sign_statement
    from cairn.workflows.attesting import read_input

    revisions = revisions_at(hub, token, data)
    signer = SignerOptions(key, certificate, sigstore, identity_token).signer()
    named = {
        InputRole.BASE: base,
        InputRole.DATASET: dataset,
        InputRole.CODE: code,
        InputRole.ENVIRONMENT: environment,
    }
    inputs: list[BuildInput] = [
        read_input(role, text, lambda name: _look_up(revisions, hub, name))
        for role, texts in named.items()
        for text in texts
    ]
    built = BuildProvenance(
        builder, build_type, tuple(inputs), _parameters(parameters), finished=datetime.now(UTC)
    )
    name, _, revision = repo.partition("@")
    repo_id = parse_repo(name)
    commit, digests = revisions.digests(repo_id, revision or MAIN)
    bundle = sign_statement(built, digests, signer)
    revisions.attach(repo_id, commit, bundle.as_bytes())
    out().print(
        f"attested {visible(str(repo_id))} at {commit[:12]}: {len(digests):,} files from"
        f" {len(inputs):,} input{'s' * (len(inputs) != 1)}"
    )


def _look_up(revisions: Revisions, hub: str | None, text: str) -> "RepoFound":
    from cairn.workflows.attesting import RepoFound

    name, _, revision = text.partition("@")
    repo = parse_repo(name)
    commit, digests = revisions.digests(repo, revision or MAIN)
    place = "cairn:" if hub is None else f"{hub.rstrip('/')}/"
    return RepoFound(f"{place}{repo.url_path}", commit, digests)


def _parameters(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or name in found:
            raise RequestError(f"{text!r}: write each parameter once as NAME=VALUE")
        found[name] = value
    return found
