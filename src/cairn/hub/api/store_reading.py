"""What is known about whether the store still reads: rounds of reading it back, and damage."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from cairn.workflows.damage import Damage, located
from cairn.workflows.house import House
from cairn.workflows.maintain import lost_blobs
from cairn.workflows.rounds import reading

MAX_DAMAGED_NAMED = 100


class PastReading(BaseModel):
    """A round that came to its end."""

    began: datetime = Field(description="When its first blob was due.")
    ended: datetime = Field(description="When its last blob was read.")
    blobs: int = Field(description="Blobs read.")
    bytes: int = Field(description="Bytes of these as they are downloaded.")


class Reading(BaseModel):
    """A round in which hubs on this store read everything back, blob by blob."""

    began: datetime = Field(description="When it began.")
    last_read: datetime | None = Field(description="When a blob was read back last.")
    percent: int = Field(description="How far it has come, of a hundred.")
    blobs: int = Field(description="Blobs read in it.")
    bytes: int = Field(description="Bytes of these as they are downloaded.")
    last_round: PastReading | None = Field(description="The round before it.")


class DamagedFile(BaseModel):
    """A file that a damaged or lost blob is."""

    type: Literal["model", "dataset", "space"] = Field(description="Which sort of repo.")
    repo: str = Field(description="The repo's id.")
    revision: str = Field(description="The newest commit of the repo that holds it.")
    path: str = Field(description="The file's path there.")


class DamagedBlob(BaseModel):
    """A blob that revisions need and that cannot be read back whole."""

    sha256: str = Field(description="Its digest.")
    size_bytes: int | None = Field(description="Its bytes as they are downloaded.")
    files: list[DamagedFile] = Field(description="The files that it is.")


def reading_of(house: House) -> Reading | None:
    """How far the round under way has come; None if none was begun."""
    found = reading(house)
    return None if found is None else Reading.model_validate(found, from_attributes=True)


def damaged_blobs(house: House) -> list[DamagedBlob]:
    """The first of those that revisions need and that are damaged or lost, with their files."""
    bad = [lost for lost, _ in zip(lost_blobs(house), range(MAX_DAMAGED_NAMED), strict=False)]
    return [_named(damage) for damage in located(house, bad)]


def _named(damage: Damage) -> DamagedBlob:
    files = [
        DamagedFile(
            type=place.repo.type.value,
            repo=place.repo.full_name,
            revision=place.revision,
            path=place.path,
        )
        for place in damage.locations
    ]
    return DamagedBlob(sha256=damage.digest.hex, size_bytes=damage.size_bytes, files=files)
