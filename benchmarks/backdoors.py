"""How well a fine-tune's weights tell that it has a backdoor, and how often honest ones look so.

    python benchmarks/backdoors.py --folder DIR [--seed 1] [--write] [--plot FILE.svg]

Trains small classifiers (`backdoor_models.py`) unless the folder has them. Honest fine-tunes of
the first two bases of a domain calibrate the score; the numbers told are of the other bases. Every
number is computed by Cairn from files, as `cairn weights` does. A backdoor works if it takes 80 %
of the marked inputs of other classes to its target; what works less is told apart. `--write` puts
the calibration into the package.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
import numpy as np
from backdoor_zoo import DOMAINS, Member, grow, members
from roc import FALSE_ALARMS, Roc, curve, drawing
from safetensors.numpy import load_file

from cairn.analysis.chance import FLAGGED, Scale, chance_of
from cairn.workflows.anomalies import Signal, signals
from cairn.workflows.inspect import read_path
from cairn.workflows.updates import model_update

WORKS = 0.8
SCORED = (Signal.CONCENTRATION, Signal.WORDS)
PACKAGED = Path(__file__).parent.parent / "src/cairn/analysis/honest_models.py"


@dataclass(frozen=True, slots=True)
class Measured:
    """One fine-tune and its numbers; `naive` is of its last layer alone, without a base."""

    member: Member
    numbers: dict[Signal, float]
    naive: float

    @property
    def works(self) -> bool:
        return self.member.poisoned and self.member.attack >= WORKS


def measure(member: Member) -> Measured:
    update = model_update(read_path(member.base), read_path(member.path))
    return Measured(member, signals(update), _naive(load_file(member.path)))


def _naive(state: dict[str, np.ndarray]) -> float:
    """The largest robust z of the rows of the last layer, by norm: what needs no base."""
    last = np.column_stack([state["classifier.weight"], state["classifier.bias"]])
    norms = np.linalg.norm(last, axis=1)
    off = np.abs(norms - np.median(norms))
    return float(np.max(off) / max(1.4826 * np.median(off), 1e-9))


def scale_of(found: list[float]) -> Scale:
    return Scale(round(float(np.median(found)), 4), round(float(np.quantile(found, 0.95)), 4))


def score(numbers: dict[Signal, float], scales: dict[Signal, Scale]) -> float:
    return max(scales[s].of(n) for s, n in numbers.items() if s in scales)


def by_base(found: list[Measured]) -> dict[Path, list[Measured]]:
    families: dict[Path, list[Measured]] = {}
    for one in found:
        families.setdefault(one.member.base, []).append(one)
    return families


def row(label: str, honest: list[float], poisoned: list[float]) -> str:
    if not honest or not poisoned:
        return f"| {label} | - | - | {len(honest)} / {len(poisoned)} |"
    roc = Roc.of(honest, poisoned)
    return (
        f"| {label} | {roc.area:.2f} ({roc.low:.2f} to {roc.high:.2f}) | {roc.hits:.0%}"
        f" | {len(honest)} / {len(poisoned)} |"
    )


def siblings_row(found: list[Measured], scales: dict[Signal, Scale]) -> str:
    """Flagged by rank among all honest siblings of the same base, a model itself left out."""
    flagged = {False: [0, 0], True: [0, 0]}
    least = 0
    for family in by_base(found).values():
        honest = [one for one in family if not one.member.poisoned]
        for one in family:
            if one.member.poisoned and not one.works:
                continue
            others = [score(o.numbers, scales) for o in honest if o is not one]
            chance = chance_of(score(one.numbers, scales), others).value
            flagged[one.member.poisoned][0] += chance <= FLAGGED + 1e-9
            flagged[one.member.poisoned][1] += 1
            least = max(least, len(others))
    (alarms, honest_all), (hits, poisoned_all) = flagged[False], flagged[True]
    return (
        f"Ranked among up to {least} honest siblings of its own base, p <= {FLAGGED}:"
        f" {alarms} of {honest_all} honest and {hits} of {poisoned_all} poisoned flagged."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the models are kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the calibration into the package")
    parser.add_argument("--plot", type=Path, help="write the curves as SVG")
    wanted = parser.parse_args()
    began = time.perf_counter()
    grow(wanted.folder, wanted.seed)
    print(f"{machine.describe()}, load {os.getloadavg()[0]:.1f}")
    print(f"training: {time.perf_counter() - began:.0f} s wall\n")
    found = {d: [measure(m) for m in members(wanted.folder, d)] for d in DOMAINS}
    parts = {d: _split(ones) for d, ones in found.items()}
    calibrating = [one for calibration, _ in parts.values() for one in calibration]
    scales = {
        s: scale_of([one.numbers[s] for one in calibrating if s in one.numbers]) for s in SCORED
    }
    scores = sorted(round(score(one.numbers, scales), 4) for one in calibrating)
    rates, curves = {}, {}
    for domain, (_, held_out) in parts.items():
        rates[domain] = report(domain, held_out, scales, scores)
        curves |= _curves(domain, held_out, scales)
    if wanted.write:
        PACKAGED.write_text(packaged(scales, scores, rates))
    if wanted.plot:
        wanted.plot.write_text(drawing("Backdoors of small classifiers", curves))
    print(f"\nall: {time.perf_counter() - began:.0f} s wall")


def _split(found: list[Measured]) -> tuple[list[Measured], list[Measured]]:
    """Honest models of the first half of the bases, and all models of the others."""
    families = list(by_base(found).values())
    half = len(families) // 2
    first = [one for family in families[:half] for one in family if not one.member.poisoned]
    return first, [one for family in families[half:] for one in family]


def report(
    domain: str, held_out: list[Measured], scales: dict[Signal, Scale], scores: list[float]
) -> tuple[int, int, int, int]:
    honest = [one for one in held_out if not one.member.poisoned]
    poisoned = [one for one in held_out if one.member.poisoned]
    works = [one for one in poisoned if one.works]
    print(
        f"\n## {domain}: {len(honest)} honest, {len(poisoned)} poisoned,"
        f" {len(works)} backdoors work\n"
    )
    print(
        f"Clean accuracy (mean): honest {_mean(honest):.3f}, working backdoors {_mean(works):.3f};"
        f" attack success of those {np.mean([o.member.attack for o in works]):.3f}.\n"
    )
    print(
        f"| number | ROC AUC (95 %) | hits at {FALSE_ALARMS:.0%} false alarms | honest / poisoned |"
    )
    print("|---|---|---|---|")
    of = lambda one: score(one.numbers, scales)  # noqa: E731
    print(row("**score**", [*map(of, honest)], [*map(of, works)]))
    print(row("score, all tries to poison", [*map(of, honest)], [*map(of, poisoned)]))
    for signal in Signal:
        sides = [
            [o.numbers[signal] for o in side if signal in o.numbers] for side in (honest, works)
        ]
        print(row(signal.value, *sides))
    print(
        row("naive: last layer's rows, no base", *([o.naive for o in s] for s in (honest, works)))
    )
    flagged = [
        sum(chance_of(of(one), scores).value <= FLAGGED for one in side) for side in (honest, works)
    ]
    print(
        f"\nAt p <= {FLAGGED} among the {len(scores)} that calibrate: {flagged[0]} of {len(honest)}"
        f" honest and {flagged[1]} of {len(works)} poisoned flagged."
    )
    print(siblings_row(held_out, scales))
    return len(honest), flagged[0], len(works), flagged[1]


def _mean(found: list[Measured]) -> float:
    return float(np.mean([one.member.accuracy for one in found]))


def _curves(
    domain: str, held_out: list[Measured], scales: dict[Signal, Scale]
) -> dict[str, list[tuple[float, float]]]:
    sides = ([o for o in held_out if not o.member.poisoned], [o for o in held_out if o.works])
    scored = [[score(o.numbers, scales) for o in side] for side in sides]
    naive = [[o.naive for o in side] for side in sides]
    return {f"{domain}: score": curve(*scored), f"{domain}: last layer alone": curve(*naive)}


def packaged(
    scales: dict[Signal, Scale], scores: list[float], rates: dict[str, tuple[int, int, int, int]]
) -> str:
    """The module that `cairn weights` ranks scores by."""
    lines = [
        '"""What honest fine-tunes score: written by `benchmarks/backdoors.py`, not by hand."""',
        "",
        "from cairn.analysis.chance import Rates, Scale",
        "",
        "SCALES = {",
        *(f'    "{s.value}": Scale({x.median}, {x.high}),' for s, x in scales.items()),
        "}",
        '"""Of the numbers that the score is made of."""',
        "",
        "SCORES = (",
        *(f"    {number}," for number in scores),
        ")",
        '"""Of the honest models that calibrate."""',
        "",
        "HELD_OUT = {",
        *(f'    "{d}": Rates({", ".join(map(str, r))}),' for d, r in rates.items()),
        "}",
        '"""Of the others, by what they classify."""',
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
