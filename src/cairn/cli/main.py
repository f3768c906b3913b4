"""Entry point of the `cairn` command: names the commands and turns errors into exit codes."""

import sys
from importlib import import_module

import click

from cairn import __version__
from cairn.cli.errors import exit_code
from cairn.errors import CairnError, UnavailableError

# Name, where the command is, and its first sentence, which a test compares with the command's own.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve:serve", "Run the hub."),
    "inspect": ("inspect:inspect", "Show format, architecture, parameters, roles and tensors."),
    "scan": ("scan:scan", "Say of every file whether loading it is safe, and why not."),
    "rules": ("rules:rules", "List the rules files are scanned by, or explain one."),
    "monitor": (
        "monitor:monitor",
        "Watch a folder or cache outside the hub, and tell what is new, worse, better or gone.",
    ),
    "advisories": (
        "advisories:advisories",
        "List and import what is known of flaws in loaders and of bad files.",
    ),
    "recall": (
        "recall:recall",
        "List every repo, revision and path that holds a blob, and what was made from these.",
    ),
    "rescan": ("rescan:rescan", "Show how far a hub is with judging its files by new rules."),
    "waiver": ("waiver:waiver", "Let pass what a rule finds in a file, and list and revoke that."),
    "appeal": ("appeal:appeal", "List appeals against verdicts, and answer them."),
    "policy": ("policy:policy", "Show and decide what becomes of files by their scans."),
    "diff": ("diff:diff", "Compare tensors, settings, tokenizer and training state."),
    "weights": (
        "weights:weights",
        "Say what is odd about a fine-tune's weights, and how often honest ones look so.",
    ),
    "run": ("run:run", "Training runs: list, show, compare, and go on with one."),
    "reproduce": (
        "reproduce:reproduce",
        "Train a run again in a new folder, and say whether the same comes out.",
    ),
    "estimate": (
        "estimate:estimate",
        "Say if training fits into memory, how long it takes, and what it costs.",
    ),
    "merge": (
        "merge:merge",
        "Merge adapters and models, and take them apart again, one tensor at a time.",
    ),
    "convert": ("convert:convert", "Write the weights of any checkpoint as safetensors."),
    "finetune": (
        "finetune:finetune",
        "Adapt a model to data: a folder comes out that stock loaders load.",
    ),
    "sign": ("sign:sign", "Sign a model: OpenSSF Model Signing bundles."),
    "verify": ("verify:verify", "Check that somebody trusted signed exactly these files."),
    "attach": ("attach:attach", "Have a hub keep and show the signature of a revision."),
    "attest": ("attest:attest", "State who built a revision, from what and how: SLSA provenance."),
    "store": ("store:store", "Statistics, verification, repair, garbage collection."),
    "log": ("log:log", "Show, check, mirror and prove what was published."),
    "user": ("user:user", "Add and list users; say how much they may keep."),
    "org": ("org:org", "Add organisations and members; say how much they may keep."),
    "trust": ("trust:trust", "Say who may sign the repos of which namespace."),
    "token": ("token:token", "Create, list and revoke access tokens."),
    "access": (
        "access:access",
        "List who asked for and has access to gated repos, and decide about it.",
    ),
    "audit": ("audit:audit", "List who did what: sign-ins, tokens, repos, quotas; newest first."),
}


class Commands(click.Group):
    """The commands of the table: each is imported when it is called, none to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself; None if there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"cairn.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table into the help page."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="cairn", message="%(prog)s %(version)s")
def app() -> None:
    """An open home for AI checkpoints."""


def main() -> None:
    """Run the command line; a `CairnError` becomes one line on standard error and an exit code."""
    try:
        app()
    except CairnError as error:
        click.secho(f"error: {error}", err=True, fg="red")
        sys.exit(exit_code(error))
    except OSError as error:  # a full disk, a file nobody may read: the system's words say it
        place = f" ({error.filename})" if error.filename else ""
        click.secho(f"error: {error.strerror or error}{place}", err=True, fg="red")
        sys.exit(exit_code(UnavailableError()))
