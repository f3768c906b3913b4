"""`cairn log`: the transparency log shown, checked, mirrored, and proofs from it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import count_progress, err, out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import LOCAL_PATH, as_json, data_dir
from cairn.cli.targets import RepoTarget, parse_repo, parse_target
from cairn.errors import EntryNotFoundError, RequestError

if TYPE_CHECKING:
    from cairn.domain import LogEvent
    from cairn.provenance.log import Hidden, LogFiles, PublicKey, RememberedLogs
    from cairn.workflows.follow_log import CheckedLog, CosignedHead

source = click.argument("source", required=False)
trusted_key = click.option(
    "--key", metavar="KEY", help="The log's public key; remembered from then on."
)


@click.group(no_args_is_help=True)
def log() -> None:
    """Show, check, mirror and prove what was published.

    SOURCE is a hub's address, a folder that mirrors a log, or a proof file; without it, the hub
    in the data directory. Exit code 7: the log was rewritten, or somebody else signed it.
    """


@log.command()
@data_dir
def key(data: Path | None) -> None:
    """Print the public key that signs this hub's log, for people to check it with.

    cairn log key --data cairn-data
    """
    click.echo(str(open_hub(data).signatory.public_key))


@log.command()
@data_dir
def rotate(data: Path | None) -> None:
    """Have a new key sign this hub's log from now on, and remove the old one.

    The log names the new key, and both sign the head that has this entry: whoever trusts the old
    key is led to the new one and need not be told. Hubs that run go on with the new key. If the
    old key may be in other hands begin a new log instead (docs/security/log.md).

    cairn log rotate --data cairn-data
    """
    from cairn.cli.revisions import OPERATOR
    from cairn.workflows.transparency import rotate_key

    click.echo(str(rotate_key(open_hub(data), OPERATOR)))


@log.command()
@click.argument("witness", metavar="ADDRESS")
@click.option("--witness-key", "key", metavar="KEY", required=True, help="The witness's key.")
@data_dir
@as_json
def submit(witness: str, key: str, data: Path | None, as_json: bool) -> None:
    """Have a witness cosign the newest head of this hub's log, and keep what it says.

    The witness speaks c2sp.org/tlog-witness and knows this log's key. Run it as often as heads
    shall be cosigned; others check with `cairn log verify --witness KEY`.

    cairn log submit https://witness.example --witness-key KEY --data cairn-data
    """
    from cairn.hub.log_witness import ask_witness
    from cairn.provenance.log import TreeHead, note_text, witness_key
    from cairn.workflows.transparency import consistency_lines, keep_cosignatures, signed_head

    house, known = open_hub(data), witness_key(key)
    note = signed_head(house)
    size = TreeHead.parse(note_text(note)).size
    answered = ask_witness(witness, note, lambda old: consistency_lines(house, old, size))
    (found,) = keep_cosignatures(house, answered, [known])
    if as_json:
        print_json({"witness": str(found.witness), "size": size, "at": found.at.isoformat()})
        return
    out().print(f"{visible(known.name)} cosigned the head of {size} entries")


@log.command()
@source
@click.option("--repo", metavar="REPO", help="Only entries of this repo, as models/org/name.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@data_dir
@as_json
def show(
    source: str | None, repo: str | None, limit: int, data: Path | None, as_json: bool
) -> None:
    """Show the newest entries as the log tells them; `verify` checks them.

    cairn log show https://hub.example --repo models/org/name
    """
    from rich.table import Table

    from cairn.workflows.follow_log import newest

    wanted = None if repo is None else parse_repo(repo)
    found = (
        (number, event)
        for number, event in newest(_files(source, data))
        if wanted is None or getattr(event, "repo", None) == wanted
    )
    entries = list(islice(found, limit))
    if as_json:
        print_json([{"number": number, **_plain(event)} for number, event in entries])
        return
    if not entries:
        err().print("the log has no such entry yet" if repo else "the log has no entry yet")
        return
    table = Table("entry", "when (UTC)", "what", "repo", "ref", "now at", "by")
    for number, event in entries:
        table.add_row(f"{number}", f"{event.at:%Y-%m-%d %H:%M:%S}", *_cells(event))
    out().print(table)


@log.command()
@source
@trusted_key
@click.option(
    "--witness",
    "witnesses",
    metavar="KEY",
    multiple=True,
    help="Ask that this witness cosigned a head that the log begins with; may be repeated.",
)
@click.option("--all", "everything", is_flag=True, help="Read every entry; a folder always is.")
@data_dir
@as_json
def verify(
    source: str | None,
    key: str | None,
    witnesses: tuple[str, ...],
    everything: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check a log against its key and what was seen of it before, or a proof file offline.

    The head that is found is remembered in ~/.config/cairn, and the next log must begin with it.

        cairn log verify https://hub.example --key KEY

        cairn log verify model.tlog-proof
    """
    if source is not None and Path(source).is_file():
        if witnesses:
            raise RequestError("--witness is for logs; a proof file has the log's signature alone")
        _verify_proof(Path(source), _given(key), as_json=as_json)
        return
    from cairn.provenance.log import witness_key
    from cairn.workflows.follow_log import check_log, check_witnesses

    files = _files(source, data)
    given = open_hub(data).signatory.public_key if source is None else _given(key)
    everything = everything or source is None or Path(source).is_dir()
    with _entry_bar() as begin:
        checked = check_log(files, _remembered(), given, begin if everything else None)
    asked = [witness_key(one) for one in witnesses]
    cosigned = check_witnesses(files, checked, asked) if asked else None
    _report(checked, as_json=as_json, everything=everything, cosigned=cosigned)


@log.command()
@click.argument("address")
@click.argument("folder", type=LOCAL_PATH)
@trusted_key
@as_json
def mirror(address: str, folder: Path, key: str | None, as_json: bool) -> None:
    """Copy a log into FOLDER, or what is new of it, and check all that is copied.

    Any web server can serve the folder as the log it mirrors.

        cairn log mirror https://hub.example hub-log --key KEY
    """
    from cairn.provenance.log import Mirror
    from cairn.workflows.follow_log import mirror_log

    files = _files(address, None)
    with _entry_bar() as begin:
        checked = mirror_log(files, Mirror(folder), _remembered(), _given(key), begin)
    _report(checked, as_json=as_json, everything=True)


@log.command()
@click.argument("repo", metavar="REPO[@REV]")
@click.option("-o", "--output", type=LOCAL_PATH, help="File to write (default: REPO.tlog-proof).")
@data_dir
def prove(repo: str, output: Path | None, data: Path | None) -> None:
    """Write a proof that a revision is in the log, which anybody can check without the hub.

    For a private repo it opens what the log hides, for whoever is given the file.

        cairn log prove org/name@main -o model.tlog-proof
    """
    from cairn.domain import Account, Actor
    from cairn.workflows.transparency import prove as make

    target = parse_target(repo)
    if not isinstance(target, RepoTarget):
        raise RequestError(f"{repo} is a file here; name a repo such as org/name@revision")
    operator = Actor(Account("operator", "Operator of this machine", is_admin=True))
    proof = make(open_hub(data), operator, target.repo_id, target.revision)
    path = output or Path(f"{target.repo_id.name}.tlog-proof")
    path.write_bytes(proof.serialise())
    out().print(f"{visible(str(path))}: entry {proof.index} of {proof.head.size}")


def _verify_proof(path: Path, given: "PublicKey | None", *, as_json: bool) -> None:
    from cairn.provenance.log import MAX_PROOF_BYTES
    from cairn.workflows.follow_log import check_proof

    with path.open("rb") as file:
        content = file.read(MAX_PROOF_BYTES + 1)
    event, proof = check_proof(content, _remembered(), given)
    if as_json:
        size = proof.head.size
        print_json({"log": proof.head.origin, "number": proof.index, "size": size, **_plain(event)})
        return
    out().print(f"in the log {visible(proof.head.origin)}: entry {proof.index}")
    for name, value in _plain(event).items():
        out().print(f"{name:>10}  {visible(str(value))}")


@contextmanager
def _entry_bar() -> Iterator[Callable[[int], Callable[[int], None]]]:
    """A progress bar that begins when it is known how many entries there are."""
    with ExitStack() as stack:
        yield lambda total: stack.enter_context(count_progress("entries", total))


def _files(source: str | None, data: Path | None) -> "LogFiles":
    if source is None:
        from cairn.workflows.transparency import OwnLog

        return OwnLog(open_hub(data))
    if "://" in source:
        from cairn.hub.log_files import HttpLogFiles

        return HttpLogFiles(source)
    from cairn.provenance.log import Mirror

    found = Mirror(Path(source))
    if found.is_empty:
        raise EntryNotFoundError(
            f"{source} is neither a mirror of a log, nor a proof, nor an address (http://...)"
        )
    return found


def _remembered() -> "RememberedLogs":
    from cairn.config import user_folder
    from cairn.provenance.log import RememberedLogs

    return RememberedLogs(user_folder() / "logs")


def _given(key: str | None) -> "PublicKey | None":
    from cairn.provenance.log import PublicKey

    return None if key is None else PublicKey.parse(key)


def _report(
    checked: "CheckedLog",
    *,
    as_json: bool,
    everything: bool,
    cosigned: "CosignedHead | None" = None,
) -> None:
    head, before = checked.head, checked.before
    if as_json:
        shape = {
            "log": head.origin,
            "key": str(checked.key),
            "size": head.size,
            "root": head.root.hex(),
            "size_seen_before": None if before is None else before.size,
            "all_entries_read": everything,
            "cosigned_size": None if cosigned is None else cosigned.head.size,
            "cosigned_by": [] if cosigned is None else [str(o.witness) for o in cosigned.by],
        }
        print_json(shape)
        return
    out().print(f"log {visible(head.origin)}: {head.size} entries, signed by its key")
    if before is None:
        out().print("seen for the first time here; remembered")
    else:
        out().print(f"begins with the {before.size} entries seen before")
    if everything:
        out().print("every entry is there and leads to the signed root")
    for one in () if cosigned is None else cosigned.by:
        when = f"{one.at:%Y-%m-%d %H:%M:%S} UTC"
        assert cosigned is not None
        name = visible(one.witness.name)
        out().print(f"{name} saw its first {cosigned.head.size} entries on {when}")


def _plain(event: "LogEvent | Hidden") -> dict[str, Any]:
    from cairn.domain import LogEvent

    at = event.at.isoformat()
    if not isinstance(event, LogEvent):
        return {"at": at, "kind": "hidden", "commitment": event.commitment}
    return {
        "at": at,
        "kind": event.kind.value,
        "repo": event.repo and f"{event.repo.type.plural}/{event.repo.full_name}",
        "ref": event.ref,
        "old": event.old,
        "new": event.new,
        "actor": event.actor,
        **event.details,
    }


def _cells(event: "LogEvent | Hidden") -> Iterator[str]:
    told = _plain(event)
    yield told["kind"]
    yield visible(told["repo"] or "every repo" if "repo" in told else "a private repo")
    for name in ("ref", "new", "actor"):
        yield visible(told.get(name) or "")
