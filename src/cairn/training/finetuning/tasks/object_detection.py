"""Things in pictures get a box and a class: YOLOS, an encoder that says boxes as DETR does.

https://arxiv.org/abs/2106.00666; boxes are matched by scipy's solver of assignments.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cairn.errors import RequestError
from cairn.training.finetuning.bases import known_labels, load_model, loaded
from cairn.training.finetuning.measures.boxes import Box, Corners, box_measures
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.classes import as_labels, class_names, class_number
from cairn.training.finetuning.tasks.pictures import (
    PICTURE_COLUMNS,
    is_mirrored,
    mirrored,
    picture_of,
)
from cairn.training.libraries import library
from cairn.training.rows import Row
from cairn.training.sampler import SampleIndex

_KIND_NAMES = ("category", "categories", "label", "labels")
Thing = tuple[Sequence[float], Any]
"""Left, top, width and height in pixels; and the class."""


class ObjectDetection(Task):
    """`AutoModelForObjectDetection`; pictures get the size of the base, and half are mirrored."""

    roles: ClassVar[Roles] = {"image": PICTURE_COLUMNS, "objects": ("objects", "annotations")}
    objective = Objective("map_50", highest=True)

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        library("scipy")
        self.processor = loaded("AutoImageProcessor", materials.base)
        column = self.columns["objects"]
        known = known_labels(materials.base)
        self.class_names = names = class_names(self.seen(), self._kinds, known, column)
        self._classes = {name: number for number, name in enumerate(names)}
        self.model, self.heads = load_model(
            "AutoModelForObjectDetection",
            materials.base,
            self.recipe.method,
            **as_labels(names),
        )
        size = getattr(self.model.config, "image_size", None)
        if isinstance(size, list | tuple):
            # Of one size, so that pictures go into a batch as they are; boxes are shares of it.
            self.processor.size = {"height": size[0], "width": size[1]}
        self.processor.do_pad = False

    def _things(self, row: Row) -> list[Thing]:
        """What is in a picture, as COCO and `datasets` have it.

        Raises:
            RequestError: it is told otherwise.
        """
        column = self.columns["objects"]
        told = row[column]
        if isinstance(told, dict):
            kinds = next((told[name] for name in _KIND_NAMES if name in told), None)
            boxes = told.get("bbox")
        else:
            kinds = [one.get("category_id", one.get("category")) for one in told or ()]
            boxes = [one.get("bbox") for one in told or ()]
        if not isinstance(boxes, list) or not isinstance(kinds, list) or len(boxes) != len(kinds):
            raise RequestError(f"{column!r} wants as many boxes (bbox) as classes (category)")
        if any(not isinstance(box, list) or len(box) != 4 for box in boxes):
            raise RequestError(f"a box in {column!r} is not left, top, width, height")
        if any(not min(box[2:]) > 0 or not all(map(math.isfinite, box)) for box in boxes):
            raise RequestError(f"a box in {column!r} has no width or height")
        return list(zip(boxes, kinds, strict=True))

    def _kinds(self, row: Row) -> Iterator[Any]:
        return (kind for _, kind in self._things(row))

    def example(self, row: Row) -> Example:
        """Pixels, and boxes as shares of the picture."""
        return self._made(picture_of(row, self.columns["image"]), self._things(row))

    def varied(self, row: Row, index: SampleIndex) -> Example:
        """The picture with its boxes, or what a mirror shows of them."""
        picture, things = picture_of(row, self.columns["image"]), self._things(row)
        if is_mirrored(index):
            wide = picture.width
            picture = mirrored(picture)
            things = [((wide - x - w, y, w, h), kind) for (x, y, w, h), kind in things]
        return self._made(picture, things)

    def _made(self, picture: Any, things: list[Thing]) -> Example:
        told = [
            {
                "bbox": list(box),
                "category_id": class_number(self._classes, kind, self.columns["objects"]),
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for box, kind in things
        ]
        made = self.processor(
            images=picture,
            annotations={"image_id": 0, "annotations": told},
            return_tensors="pt",
        )
        label = made["labels"][0]
        return {
            "pixel_values": made["pixel_values"][0],
            "labels": {name: label[name] for name in ("class_labels", "boxes")},
        }

    def collate(self, examples: list[Example]) -> Batch:
        """Pixels together: (pictures, channels, height, width); labels as a list."""
        return {
            "pixel_values": torch.stack([one["pixel_values"] for one in examples]),
            "labels": [one["labels"] for one in examples],
        }

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The boxes found in each picture, and the true ones."""
        found = model(**batch)
        scores, kinds = found.logits.softmax(-1)[..., :-1].max(-1)  # the last class is nothing
        pictures = zip(kinds, found.pred_boxes, scores, batch["labels"], strict=True)
        return found.loss, [
            (_boxes(kind, box, score), _boxes(true["class_labels"], true["boxes"]))
            for kind, box, score, true in pictures
        ]

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`map_50`."""
        return box_measures(
            [([Box(*one) for one in found], [Box(*one) for one in true]) for found, true in answers]
        )


def _boxes(kinds: Tensor, centres: Tensor, scores: Tensor | None = None) -> list[Box]:
    """Boxes of centres, widths and heights."""
    sure = [1.0] * len(kinds) if scores is None else scores.tolist()
    told = zip(kinds.tolist(), centres.tolist(), sure, strict=True)
    return [Box(kind, _corners(*centre), score) for kind, centre, score in told]


def _corners(x: float, y: float, width: float, height: float) -> Corners:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
