"""What it takes to fine-tune a model: memory by part, time, and which devices it fits on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.errors import RequestError
from cairn.estimation.devices import catalogue
from cairn.hub.checkpoints import read_revision
from cairn.hub.estimates import asked_values, reckon
from cairn.hub.routing import repo_routes
from cairn.hub.web.parts import tint
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.svg import Part, stacked_bar
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import bytes_text
from cairn.workflows.browse import View

PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "logits": "logits",
    "workspace": "workspace",
    "communication": "buckets of gradients to send",
    "overhead": "framework (assumed)",
}
CHOICES = {
    "method": ("full", "lora", "qlora", "last-layer"),
    "precision": ("fp32", "bf16", "amp"),
    "optimizer": ("adamw", "adamw8bit", "sgd", "adafactor"),
}
NUMBERS = (
    ("batch", "Samples at once"),
    ("seq", "Tokens of a sample"),
    ("rank", "Rank of an adapter"),
    ("steps", "Steps"),
)
_UNITS = (("days", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """What a plan means on one device, in words; empty where it is not known."""

    title: str
    fits: bool
    share: str
    largest_batch: int
    total: str
    energy: str
    carbon: str
    cost: str
    checked: bool
    source: str


def _estimate(visit: Visit) -> Response:
    repo = load_repo(visit)
    values = asked_values(visit.request.query_params)
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "tensors",
        "section": repo.record.id.type.plural,
        "now": visit.now,
        "values": values,
        "choices": CHOICES,
        "numbers": NUMBERS,
        "devices": [(one.name, one.title) for one in catalogue().devices.values()],
        "found": None,
        "refused": "",
        "query": visit.with_query(),
    }
    if repo.revision is not None:
        view = View(repo.record, repo.revision)
        checkpoint = read_revision(visit.memory, visit.house, visit.actor, view)
        if checkpoint is not None:
            try:
                told = reckon(checkpoint, values, visit.request.app.state.settings)
                context |= _shown(told)
            except RequestError as error:
                context["refused"] = str(error)
    return visit.render("estimate.html", **context)


def _shown(told: Mapping[str, Any]) -> dict[str, Any]:
    memory = told["memory"]
    parts = [
        Part(words, memory["parts"][part], bytes_text(memory["parts"][part]), tint(at))
        for at, (part, words) in enumerate(PARTS.items())
        if memory["parts"][part]
    ]
    total = bytes_text(memory["total_bytes"])
    return {
        "found": told,
        "total": total,
        "parts": parts,
        "bar": stacked_bar(parts, "Memory by part", f"{total} {memory['moment']}"),
        "rows": [_row(one) for one in told["devices"]],
        "suggestions": [
            (one["change"], bytes_text(one["memory_bytes"]), one["fits"])
            for one in told["suggestions"]
        ],
        "operations": f"{told['flops_per_step']['count']:.3g}",
        "priced": told["prices"]["per_hour"] is not None,
        "carbon": told["prices"]["carbon_g_per_kwh"] is not None,
        "currency": told["prices"]["currency"],
    }


def _row(one: Mapping[str, Any]) -> DeviceRow:
    time, device = one["time"], one["device"]
    return DeviceRow(
        title=device["title"],
        fits=one["fits"],
        share=f"{100 * one['share_of_memory']:,.0f} %",
        largest_batch=one["largest_batch"],
        total=_duration(time["total_s"]),
        energy=_range(time["energy_kwh"]),
        carbon=_range(time["carbon_g"], 1e-3),
        cost=_range(time["cost"]),
        checked=device["checked"],
        source=device["source"],
    )


def _duration(found: Sequence[float] | None) -> str:
    if found is None:
        return ""
    unit, seconds = next((u for u in _UNITS if found[1] >= u[1]), _UNITS[-1])
    return f"{_short(found[0] / seconds)} to {_short(found[1] / seconds)} {unit}"


def _short(number: float) -> str:
    """Two digits that count, without powers of ten."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _range(found: Sequence[float] | None, factor: float = 1.0) -> str:
    return "" if found is None else f"{_short(found[0] * factor)} to {_short(found[1] * factor)}"


routes: list[BaseRoute] = [
    *repo_routes("/estimate/{rev}", endpoint(_estimate, long=True), "GET", "HEAD")
]
