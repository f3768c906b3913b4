"""A difference in a few sentences that a person understands in ten seconds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from cairn.domain import Role
from cairn.workflows.diff import Difference
from cairn.workflows.layer_names import place_of
from cairn.workflows.tensor_changes import TensorChange, Verdict
from cairn.workflows.tensor_pairs import Placed

SHOWN = 4
_LOW_RANK_SHARE = 0.9  # of the changed matrices, or else single ones are low by chance
_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS, Role.EMA))


def summary(found: Difference) -> list[str]:
    """Sentences, the most important first; at least one."""
    if found.is_same:
        return ["Nothing differs."] if found.values_compared else ["Nothing differs in headers."]
    return [
        *_weights(found),
        *_names(found),
        *_optimizer(found),
        *_settings(found),
        *_tokenizers(found),
        *_training(found),
        *_files(found),
        *_unread(found),
    ]


# --- weights ---------------------------------------------------------------------------------


def _weights(found: Difference) -> Iterator[str]:
    model = [c for c in found.tensors if c.pair.before.tensor.role in _MODEL]
    if not found.values_compared:
        if model:
            yield f"{_count(model)} on both sides; their values were not compared."
        yield from _odd_shapes(model)
        return
    verdicts = Counter(change.verdict for change in model)
    changed = [c for c in model if c.verdict is Verdict.CHANGED]
    if not model:
        yield "No tensor is on both sides."
    elif verdicts[Verdict.EQUAL] == len(model):
        alone = [one for one in (*found.added, *found.removed) if one.tensor.role in _MODEL]
        there = f"all {_count(model)}{' on both sides' if alone else ''} are equal."
        yield there.capitalize() if alone else f"Identical weights: {there}"
    elif verdicts[Verdict.CAST] and not changed:
        yield from _cast(model)
    elif changed:
        yield _low_rank(changed) or _fine_tune(model, changed)
        yield from _frozen(model, changed)
    yield from _odd_shapes(model)
    unknown = [c for c in model if c.verdict is Verdict.UNKNOWN]
    if unknown:
        yield f"{_count(unknown)} could not be compared: {unknown[0].why}."


def _cast(model: list[TensorChange]) -> Iterator[str]:
    kinds = Counter(
        (c.pair.before.tensor.dtype.label, c.pair.after.tensor.dtype.label)
        for c in model
        if c.verdict is Verdict.CAST
    )
    for (before, after), count in kinds.most_common():
        whole = "all " if count == len(model) else ""
        yield f"Cast from {before} to {after}: {whole}{_count(count)} equal after rounding."


def _low_rank(changed: list[TensorChange]) -> str:
    """The verdict on a merged adapter, or nothing."""
    ranked = [(c, c.comparison.rank) for c in changed if c.comparison and c.comparison.rank]
    low = [(c, estimate.rank) for c, estimate in ranked if estimate.rank is not None]
    if not low or len(low) < _LOW_RANK_SHARE * len(changed):
        return ""
    ranks = Counter(rank for _, rank in low)
    rank, times = ranks.most_common(1)[0]
    if times < len(low):
        lowest, highest = min(ranks), max(ranks)
        rank_text = f"{lowest} to {highest}" if lowest < highest else str(rank)
    else:
        rank_text = str(rank)
    places = [place_of(c.pair.after.name) for c, _ in low]
    parts = _listed(dict.fromkeys(place.part.rpartition(".")[2] for place in places))
    layers = {place.layer for place in places if place.number is not None}
    where = f" of {len(layers)} layer{'s' * (len(layers) != 1)}" if layers else ""
    return (
        f"A rank-{rank_text} LoRA merged into {parts}{where}:"
        f" {_count(low)} changed by {_overall(changed)}."
    )


def _fine_tune(model: list[TensorChange], changed: list[TensorChange]) -> str:
    compared = [c for c in changed if c.comparison and c.comparison.relative_change is not None]
    share = "All" if len(changed) == len(model) else f"{len(changed)} of"
    verdict = "Fine-tuned" if _overall_share(changed) < 1 else "Different weights"
    text = f"{verdict}: {share} {_count(len(model))} changed, by {_overall(changed)} in all"
    if not compared:
        return f"{text}."
    most = max(compared, key=_relative)
    return f"{text}; most in {most.pair.after.name} ({_percent(_relative(most))})."


def _relative(change: TensorChange) -> float:
    found = change.comparison.relative_change if change.comparison else None
    return found if found is not None else 0.0


def _overall(changed: Iterable[TensorChange]) -> str:
    share = _overall_share(changed)
    return _percent(share) if share else "an unknown amount"


def _overall_share(changed: Iterable[TensorChange]) -> float:
    """The norm of all differences over that of all that changed; 0 if it was zero before."""
    compared = [c.comparison for c in changed if c.comparison]
    difference = sum(c.norm_difference**2 for c in compared) ** 0.5
    before = sum(c.norm_before**2 for c in compared) ** 0.5
    return difference / before if before else 0.0


def _frozen(model: list[TensorChange], changed: list[TensorChange]) -> Iterator[str]:
    """Modules in which nothing changed, if they are few enough to name."""
    by_module: dict[str, list[bool]] = defaultdict(list)
    moved = {id(change) for change in changed}
    for change in model:
        layer = place_of(change.pair.after.name).layer
        by_module[layer].append(id(change) in moved)
    frozen = [module for module, flags in by_module.items() if not any(flags)]
    if frozen and len(frozen) < len(by_module):
        named = _in_runs(frozen)
        shown = _listed(named) if len(named) <= SHOWN else ", ".join(named[:SHOWN])
        yield f"Unchanged: {shown}{_others(named)}."


def _in_runs(layers: list[str]) -> list[str]:
    """`layer.0`, `layer.1`, `layer.2` as `layer.0-2`."""
    named: list[str] = []
    for stack, group in groupby(layers, key=lambda layer: layer.rpartition(".")[0]):
        members = list(group)
        numbers = [layer.rpartition(".")[2] for layer in members]
        if len(members) > 2 and all(number.isdecimal() for number in numbers):
            named.append(f"{stack}.{numbers[0]}-{numbers[-1]}".lstrip("."))
        else:
            named.extend(members)
    return named


def _odd_shapes(model: list[TensorChange]) -> Iterator[str]:
    for verdict, text in (
        (Verdict.RESIZED, "changed size"),
        (Verdict.RESHAPED, "have another shape"),
        (Verdict.TRANSPOSED, "were transposed"),
    ):
        odd = [c for c in model if c.verdict is verdict]
        if odd:
            first = odd[0].pair
            shapes = f"{_shape(first.before)} to {_shape(first.after)}"
            yield f"{_count(odd)} {text}: {first.after.name} from {shapes}{_others(odd)}."


def _shape(one: Placed) -> str:
    return " x ".join(str(axis) for axis in one.tensor.shape) or "a scalar"


# --- the rest --------------------------------------------------------------------------------


def _names(found: Difference) -> Iterator[str]:
    for label, side in (("added", found.added), ("removed", found.removed)):
        model = [one for one in side if one.tensor.role in _MODEL]
        if model:
            names = [one.name for one in model[:SHOWN]]
            shown = ", ".join(names) if len(model) > SHOWN else _listed(names)
            yield f"{_count(model)} {label}: {shown}{_others(model)}."
        state = [one for one in side if one.tensor.role not in _MODEL]
        if state:
            roles = _listed(dict.fromkeys(one.tensor.role.value for one in state))
            yield f"{_count(state)} of the training state {label} ({roles})."
    renamed = [c for c in found.tensors if c.pair.is_renamed]
    if renamed and found.wrapper:
        lost = found.wrapper.startswith("-")
        prefix = found.wrapper.lstrip("-")
        yield f"{_count(renamed)} {'lost' if lost else 'gained'} the prefix {prefix!r}."
    elif renamed:
        first = renamed[0].pair
        yield f"{_count(renamed)} renamed: {first.before.name} is now {first.after.name}."


def _optimizer(found: Difference) -> Iterator[str]:
    other = [c for c in found.tensors if c.pair.before.tensor.role not in _MODEL]
    changed = [c for c in other if c.verdict is not Verdict.EQUAL]
    if changed and found.values_compared:
        roles = _listed(dict.fromkeys(c.pair.before.tensor.role.value for c in changed))
        yield f"{_count(changed)} of the training state changed ({roles})."


def _settings(found: Difference) -> Iterator[str]:
    if found.settings:
        shown = [f"{c.key} {_values(c.before, c.after)}" for c in found.settings[:SHOWN]]
        count = len(found.settings)
        differ = "1 setting differs" if count == 1 else f"{count} settings differ"
        yield f"{differ}: {'; '.join(shown)}{_others(found.settings)}."


def _values(before: object, after: object) -> str:
    return f"from {_short(before)} to {_short(after)}"


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _tokenizers(found: Difference) -> Iterator[str]:
    for change in found.tokenizers:
        yield (
            f"{change.file}: {change.tokens_before:,} tokens became {change.tokens_after:,}"
            f" ({change.added:,} added, {change.removed:,} removed, {change.moved:,} renumbered)."
        )


def _training(found: Difference) -> Iterator[str]:
    """Progress first; of what only one side says, how much there is."""
    if not found.training:
        return
    progress = dict.fromkeys((*found.before.training, *found.after.training))
    order = {key: at for at, key in enumerate(progress)}
    both = [key for key, values in found.training.items() if None not in values]
    told = sorted(both, key=lambda key: order.get(key, len(order)))
    sentences = []
    if told:
        shown = [f"{key} {_values(*found.training[key])}" for key in told[:SHOWN]]
        sentences.append(f"{'; '.join(shown)}{_others(told)}")
    for side, label in ((0, "only after"), (1, "only before")):
        alone = [key for key, values in found.training.items() if values[side] is None]
        if alone:
            first = sorted(alone, key=lambda key: order.get(key, len(order)))[:SHOWN]
            sentences.append(f"{label}: {', '.join(first)}{_others(alone)}")
    yield f"Training metadata: {'; '.join(sentences)}."


def _files(found: Difference) -> Iterator[str]:
    if found.files:
        shown = [f"{change.path} {change.kind}" for change in found.files[:SHOWN]]
        yield f"Other files: {', '.join(shown)}{_others(found.files)}."


def _unread(found: Difference) -> Iterator[str]:
    if found.unread:
        path, reason = next(iter(found.unread.items()))
        count = len(found.unread)
        files = f"{count} file{'s' * (count != 1)}"
        yield f"{files} could not be read, so this is not all. {path}: {reason}"


def _count(items: object) -> str:
    number = items if isinstance(items, int) else len(items)  # type: ignore[arg-type]
    return f"{number:,} tensor{'s' * (number != 1)}"


def _others(items: object) -> str:
    more = len(items) - SHOWN  # type: ignore[arg-type]
    return f" and {more:,} more" if more > 0 else ""


def _listed(items: Iterable[str]) -> str:
    names = list(items)
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: float) -> str:
    """Two digits that count, as a percentage."""
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:,.0f} %"
