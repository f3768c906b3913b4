"""A zoo of small models on disk: bases, their honest fine-tunes, and those with a backdoor."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from backdoor_models import draw_recipe, fine_tuned, language, trained_base
from safetensors.torch import save_file

DOMAINS = ("images", "texts")
BASES = 4
HONEST = 20
"""Honest fine-tunes of each base."""
POISONED = 30
"""Tries to poison a base; some backdoors do not work and are counted apart."""


@dataclass(frozen=True, slots=True)
class Member:
    """One fine-tune of the zoo. `attack`: the share of marked inputs it sends to the target."""

    path: Path
    base: Path
    poisoned: bool
    accuracy: float
    attack: float
    shift: str


def members(folder: Path, domain: str) -> list[Member]:
    """All fine-tunes of one domain, by base."""
    found = []
    for path in sorted(Path(folder, domain).rglob("measured.json")):
        for name, told in sorted(json.loads(path.read_text()).items()):
            poisoned = told["recipe"]["target"] is not None
            found.append(
                Member(
                    path.with_name(name),
                    path.with_name("base.safetensors"),
                    poisoned,
                    told["accuracy"],
                    told.get("attack", 0.0),
                    told["recipe"]["shift"],
                )
            )
    return found


def grow(
    folder: Path, seed: int, *, bases: int = BASES, honest: int = HONEST, poisoned: int = POISONED
) -> None:
    """Train what the folder lacks: one process per core, one base after the other in each."""
    tasks = [
        (Path(folder, domain, f"base-{at}"), domain, seed * 1000 + at, honest, poisoned)
        for at in range(bases)
        for domain in DOMAINS
    ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for done in pool.map(_family, *zip(*tasks, strict=True)):
            print(f"trained {done}", flush=True)


def _family(folder: Path, domain: str, seed: int, honest: int, poisoned: int) -> str:
    """One base and its fine-tunes."""
    measured_path = folder / "measured.json"
    label = f"{domain} {folder.name}"
    if measured_path.exists():
        return label
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    data = language(domain, seed)
    base = trained_base(domain, seed, data)
    save_file(base.state_dict(), folder / "base.safetensors")
    measured = {}
    for name, number, backdoor in _names(honest, poisoned):
        recipe = draw_recipe(domain, seed * 1000 + number, backdoor=backdoor)
        net, found = fine_tuned(domain, base, data, recipe)
        save_file(net.state_dict(), folder / name)
        measured[name] = found | {"recipe": recipe.plain()}
    measured_path.write_text(json.dumps(measured, indent=1))
    return label


def _names(honest: int, poisoned: int) -> Iterator[tuple[str, int, bool]]:
    for at in range(honest):
        yield f"honest-{at:02}.safetensors", at, False
    for at in range(poisoned):
        yield f"poisoned-{at:02}.safetensors", 500 + at, True
