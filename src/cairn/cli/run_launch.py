"""`cairn run launch`: a file that has a recipe trained elsewhere, by many processes."""

import re
from pathlib import Path

import click

from cairn.cli.options import EXISTING_FILE, as_json

FORMATS = ("torchrun", "accelerate", "slurm", "skypilot", "kubernetes")


@click.command()
@click.argument("recipe", type=EXISTING_FILE)
@click.option(
    "--format", "wanted", type=click.Choice(FORMATS), default="torchrun", show_default=True
)
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@click.option(
    "--gpus", type=click.IntRange(min=0), default=1, show_default=True, help="On each machine."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="On each machine, where --gpus is 0.",
)
@click.option("--hours", type=click.IntRange(min=1), default=24, show_default=True, help="At most.")
@click.option("--gpu", default="A100", show_default=True, help="Which GPU skypilot is to look for.")
@click.option("--out", metavar="DIR", help="The folder to write there (default: RECIPE's name).")
@click.option("--name", help="The job's name (default: that of the folder).")
@click.option("--image", default="python:3.12", show_default=True, help="For kubernetes.")
@click.option(
    "--claim", default="training", show_default=True, help="Kubernetes: the volume with the recipe."
)
@as_json
def launch(
    recipe: Path,
    wanted: str,
    nodes: int,
    gpus: int,
    processes: int,
    hours: int,
    gpu: str,
    out: str | None,
    name: str | None,
    image: str,
    claim: str,
    as_json: bool,
) -> None:
    """Print a file that trains what RECIPE says on many processes, here or elsewhere.

    RECIPE is the recipe.json of a fine-tuning. Base and data in it are repos or paths that the
    machines see. The folder is one that all machines share; a start anew goes on there.

        cairn run launch recipe.json --format slurm --nodes 2 --gpus 8 > train.sbatch
    """
    from cairn.cli.console import print_json
    from cairn.workflows.finetune_recipe import read_recipe
    from cairn.workflows.launch_files import Launch, LaunchFormat, launch_file

    read_recipe(recipe)  # says if it is none
    folder = out or recipe.absolute().parent.name + "-launched"
    called = name or re.sub(r"[^a-z0-9]+", "-", Path(folder).name.lower()).strip("-")[:50]
    asked = Launch(str(recipe), folder, called, nodes, gpus, processes, hours, gpu, image, claim)
    text = launch_file(asked, LaunchFormat(wanted))
    if as_json:
        print_json({"schema": 1, "format": wanted, "name": called, "text": text})
    else:
        click.echo(text, nl=False)
