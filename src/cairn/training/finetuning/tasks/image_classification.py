"""Pictures get one of several labels."""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cairn.training.finetuning.bases import known_labels, load_model, loaded
from cairn.training.finetuning.measures.classes import class_measures
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.classes import (
    ONE_OF_SEVERAL,
    as_labels,
    class_names,
    class_number,
)
from cairn.training.finetuning.tasks.pictures import (
    PICTURE_COLUMNS,
    is_mirrored,
    mirrored,
    picture_of,
)
from cairn.training.rows import Row
from cairn.training.sampler import SampleIndex


class ImageClassification(Task):
    """`AutoModelForImageClassification`; half of the pictures are learnt from mirrored."""

    roles: ClassVar[Roles] = {
        "image": PICTURE_COLUMNS,
        "label": ("label", "labels", "class", "category"),
    }
    objective = Objective("accuracy", highest=True)

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.processor = loaded("AutoImageProcessor", materials.base)
        column = self.columns["label"]
        known = known_labels(materials.base)
        self.class_names = names = class_names(
            self.seen(), lambda row: (row[column],), known, column
        )
        self._classes = {name: number for number, name in enumerate(names)}
        self.model, self.heads = load_model(
            "AutoModelForImageClassification",
            materials.base,
            self.recipe.method,
            **as_labels(names),
            **ONE_OF_SEVERAL,
        )

    def example(self, row: Row) -> Example:
        """Pixels as the base wants them."""
        return self._made(picture_of(row, self.columns["image"]), row)

    def varied(self, row: Row, index: SampleIndex) -> Example:
        """The picture, or what a mirror shows of it."""
        picture = picture_of(row, self.columns["image"])
        return self._made(mirrored(picture) if is_mirrored(index) else picture, row)

    def _made(self, picture: Any, row: Row) -> Example:
        pixels = self.processor(images=picture, return_tensors="pt")["pixel_values"][0]
        column = self.columns["label"]
        return {"pixel_values": pixels, "labels": class_number(self._classes, row[column], column)}

    def collate(self, examples: list[Example]) -> Batch:
        """Pictures of one size: (pictures, channels, height, width)."""
        return {
            "pixel_values": torch.stack([one["pixel_values"] for one in examples]),
            "labels": torch.tensor([one["labels"] for one in examples]),
        }

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The likeliest label and the true one."""
        found = model(**batch)
        pairs = zip(found.logits.argmax(-1).tolist(), batch["labels"].tolist(), strict=True)
        return found.loss, pairs

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`accuracy`, `f1`."""
        return class_measures(answers)
