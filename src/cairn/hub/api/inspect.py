"""What a repo's checkpoint is made of: the JSON of `cairn inspect --json`, in pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.api.tensor_pages import TensorPage, read_asked
from cairn.workflows.inspection import describe

router = APIRouter()

Value = str | int | float | bool | None


class FactFound(BaseModel):
    """One number or word about the model; null where it cannot be known."""

    value: Value
    evidence: str = Field(description="What it was read from, or why it cannot be known.")


class ArchitectureFound(BaseModel):
    """What kind of model it is, and what says so."""

    family: str
    class_name: str | None
    evidence: str = Field(description="The file and key it was read from.")
    config: dict[str, Value]
    facts: dict[str, FactFound] = Field(description="Under the keys of HF configurations.")
    parts: dict[str, "ArchitectureFound"] = Field(description="Of a pipeline, by folder.")


class CompletenessFound(BaseModel):
    """Which parts are there, and whether training can go on from them."""

    present: dict[str, str | None] = Field(description="Part to what shows it; null: not there.")
    resumable: bool
    missing: list[str] = Field(description="What a resume needs and does not find.")
    inexact: list[str] = Field(description="What a bit for bit resume lacks.")
    models: dict[str, list[str]] = Field(description="Of several models, what each one lacks.")


class ModuleFound(BaseModel):
    """A module of the model; counts include what is below it."""

    name: str
    class_name: str
    parameters: int
    tensors: int
    children: list["ModuleFound"]


class Parameters(BaseModel):
    """Elements of the tensors that are weights."""

    total: int
    by_dtype: dict[str, int]


class RoleTotals(BaseModel):
    """All tensors of one role."""

    tensors: int
    elements: int
    size_bytes: int


class FileFound(BaseModel):
    """One file that holds tensors."""

    path: str
    format: str
    size_bytes: int
    tensors: int
    metadata: dict[str, Value]
    notes: list[str]


class AssemblyFound(BaseModel):
    """Tensors that only several files together hold."""

    path: str
    format: str
    parts: list[str]
    tensors: int
    metadata: dict[str, Value]


class TensorFound(BaseModel):
    """One tensor; `start` and `stop` are offsets in its file, strides count elements."""

    file: str
    name: str
    dtype: str
    shape: list[int]
    elements: int
    size_bytes: int
    role: str
    start: int
    stop: int
    strides: list[int] | None
    parameter: str | None = Field(description="Whose optimizer state it is.")


class Inspection(BaseModel):
    """A checkpoint taken apart. Sizes are bytes."""

    schema_: int = Field(alias="schema", description="Rises when a key changes its meaning.")
    name: str
    formats: list[str]
    size_bytes: int
    other_files_bytes: int
    architecture: ArchitectureFound | None
    completeness: CompletenessFound | None
    parameters: Parameters
    roles: dict[str, RoleTotals]
    training: dict[str, Value]
    training_evidence: dict[str, str] = Field(description="Which file and key say so.")
    files: list[FileFound]
    assemblies: list[AssemblyFound]
    side_files: dict[str, str] = Field(description="Files without tensors, and their roles.")
    modules: ModuleFound | None
    tensors: list[TensorFound] = Field(description="This page of the tensors that match.")
    unread: dict[str, str] = Field(description="Files that could not be read, and why.")
    notes: list[str]
    commit: str = Field(description="The revision that was read.")
    matching: int = Field(description="Tensors that match the filter, on all pages.")
    offset: int = Field(description="Matching tensors before the first one listed.")


@router.get("/{kind}/{namespace}/{name}/inspect/{rev:path}", responses=PROBLEMS)
async def inspect(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    page: Annotated[TensorPage, Depends()],
) -> Inspection:
    """Formats, architecture, parameters and tensors of a revision, read without running it."""

    def work() -> Inspection:
        view, found = read_asked(request, actor, asked)
        matching = page.matching(found.tensors(), lambda row: row[1].name)
        told = describe(found, page.of(matching))
        told |= {"name": str(view.repo.id), "commit": view.revision.id}
        return Inspection(**told, matching=len(matching), offset=page.offset)

    return await threads.call_long(work)
