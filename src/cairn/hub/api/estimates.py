"""What it takes to fine-tune a revision: the JSON of `cairn estimate --json`, and the devices."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.errors import EntryNotFoundError
from cairn.estimation.devices import catalogue
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.checkpoints import CheckpointMemory, read_revision
from cairn.hub.estimates import asked_values, reckon
from cairn.hub.identity import house_of
from cairn.workflows.estimate_description import describe_device

router = APIRouter()


class DevicesListed(BaseModel):
    """The catalogue. `checked` false: figures that were recalled and not looked up."""

    devices: list[dict[str, Any]]


class EstimateAsked(BaseModel):
    """A plan; what is left out is as on the page."""

    method: str = Field("", max_length=40, description="full, lora, qlora or last-layer.")
    batch: str = Field("", max_length=40, description="Samples at once on a device.")
    seq: str = Field("", max_length=40, description="Tokens of a sample.")
    target_seq: str = Field("", max_length=40, description="Tokens that an encoder-decoder writes.")
    rank: str = Field("", max_length=40, description="Rank of an adapter.")
    precision: str = Field("", max_length=40, description="fp32, bf16 or amp.")
    optimizer: str = Field("", max_length=40, description="adamw, adamw8bit, sgd or adafactor.")
    attention: str = Field("", max_length=40, description="fused or eager.")
    checkpointing: str = Field("", max_length=40, description="Anything: compute again, not keep.")
    double_quant: str = Field("", max_length=40, description="Anything: qlora's scales in 8 bits.")
    accumulation: str = Field("", max_length=40, description="Batches to a step.")
    image: str = Field("", max_length=40, description="Side of images in pixels.")
    gpus: str = Field("", max_length=40, description="Devices together.")
    sharding: str = Field("", max_length=40, description="none, zero1, zero2, zero3 or fsdp.")
    steps: str = Field("", max_length=40, description="Steps of the optimizer.")
    device: str = Field("", max_length=40, description="A device of the catalogue, or all.")


@router.get("/devices")
async def devices() -> DevicesListed:
    """The devices that estimates know, with the source of each one's figures."""
    return DevicesListed(devices=[describe_device(one) for one in catalogue().devices.values()])


@router.get("/{kind}/{namespace}/{name}/estimate/{rev:path}", responses=PROBLEMS)
async def estimate(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    plan: Annotated[EstimateAsked, Query()],
) -> dict[str, Any]:
    """Memory by part, operations, time, and the largest batch on devices; nothing is run.

    Every group of numbers says what its basis is: declared, given or estimated.
    """
    house, settings = house_of(request), request.app.state.settings
    memory: CheckpointMemory = request.app.state.checkpoints

    def work() -> dict[str, Any]:
        view = asked.open(house, actor)
        checkpoint = read_revision(memory, house, actor, view)
        if checkpoint is None:
            raise EntryNotFoundError("this revision holds no weights", commit=view.revision.id)
        found = reckon(checkpoint, asked_values(plan.model_dump()), settings)
        return {"commit": view.revision.id, **found}

    return await threads.call_long(work)
