"""DeepSpeed's file names: which rank's states lie in which file of a tag's folder."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cairn.domain import Layout
from cairn.errors import MalformedError
from cairn.formats.folder import folder_of

_MODEL = re.compile(r"(?:zero_pp_rank_(\d{1,6})_)?mp_rank_(\d{1,6})_model_states\.pt")
_OPTIMIZER = re.compile(
    r"((?:bf16_|fp16_)?zero_pp_rank_)(\d{1,6})(_mp_rank_(\d{1,6})_optim_states\.pt)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A file that was read: its name in the folder, its path in the checkpoint, its layout."""

    name: str
    path: str
    layout: Layout


@dataclass(slots=True)
class Ranks:
    """File names of one folder, by model-parallel rank, then by data-parallel rank.

    Model states without a data-parallel rank stand under -1.
    """

    folder: str
    models: dict[int, dict[int, str]] = field(default_factory=dict)
    optimizers: dict[int, dict[int, str]] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The path that the checkpoint is named by: the first model states, else optimizer's."""
        kind = self.models or self.optimizers
        first = kind[min(kind)]
        return self.folder + first[min(first)]

    def optimizer_names(self, model_rank: int, count: int) -> list[str]:
        """The optimizer states of `count` data-parallel ranks.

        Raises:
            MalformedError: one is missing, or there are more.
        """
        there = self.optimizers[model_rank]
        missing = next((rank for rank in range(count) if rank not in there), None)
        if missing is not None:
            head, _, tail, _ = _parts(next(iter(there.values())))
            raise MalformedError(
                f"the file '{head}{missing}{tail}' is missing: the optimizer is split over"
                f" {count} ranks",
                source=self.anchor,
            )
        if len(there) != count:
            raise MalformedError(
                f"optimizer states of {len(there)} ranks, {count} expected",
                source=self.anchor,
                hint="Files of an older run with more ranks may have been left in the folder",
            )
        return [there[rank] for rank in range(count)]

    def model_names(self, model_rank: int, count: int) -> list[str]:
        """The model states: of `count` data-parallel ranks, or the one for all if that is 0.

        Raises:
            MalformedError: one is missing.
        """
        there = self.models.get(model_rank, {})
        wanted = range(count) if count else (-1,)
        for rank in wanted:
            if rank not in there:
                prefix = f"zero_pp_rank_{rank}_" if count else ""
                raise MalformedError(
                    f"the file '{prefix}mp_rank_{model_rank:02}_model_states.pt' is missing: the"
                    " shapes of the parameters are in it",
                    source=self.anchor,
                )
        return [there[rank] for rank in wanted]


def _parts(name: str) -> tuple[str, str, str, str]:
    match = _OPTIMIZER.fullmatch(name)
    assert match is not None
    return match[1], match[2], match[3], match[4]


def ranks_of(paths: Iterable[str]) -> dict[str, Ranks]:
    """The folders among these paths that hold state files, by folder."""
    found: dict[str, Ranks] = {}
    for path in sorted(paths):
        folder = folder_of(path)
        name = path[len(folder) :]
        model, optimizer = _MODEL.fullmatch(name), _OPTIMIZER.fullmatch(name)
        if model:
            ranks = found.setdefault(folder, Ranks(folder))
            ranks.models.setdefault(int(model[2]), {})[int(model[1] or -1)] = name
        elif optimizer:
            ranks = found.setdefault(folder, Ranks(folder))
            ranks.optimizers.setdefault(int(optimizer[4]), {})[int(optimizer[2])] = name
    return found
