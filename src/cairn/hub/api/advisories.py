"""What this hub knows of flaws in the programs that load checkpoints."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.identity import house_of
from cairn.scanner import rules_version
from cairn.workflows.house import House

router = APIRouter()


class Flaw(BaseModel):
    """A published flaw in a loader."""

    id: str = Field(description="The id of its OSV record.")
    aliases: list[str] = Field(description="Other ids of it, such as a CVE's.")
    loader: str = Field(description="The program it is in.")
    summary: str = Field(description="What it is.")
    source: str = Field(description="Where it is published; empty if the record does not say.")


class GoodReleases(BaseModel):
    """Which releases of a loader have no flaw that this hub knows of."""

    loader: str = Field(description="The program.")
    from_release: str | None = Field(description="This one and all later ones.")
    after_release: str | None = Field(description="Only later ones than this; else null.")
    also: list[str] = Field(description="Earlier good ones, each the first of its series.")
    words: str = Field(description="The same in words.")


class AdvisoriesAnswer(BaseModel):
    """All that is known, but for the list of known files."""

    version: str = Field(description="Names all of it.")
    rules_version: str = Field(description="Names the rules that files are judged by.")
    advisories: list[Flaw] = Field(description="By loader and id.")
    loaders: list[GoodReleases] = Field(description="By loader.")
    known_files: int = Field(description="How many files are known to be bad.")


@router.get("/advisories", responses=PROBLEMS)
async def advisories(request: Request) -> AdvisoriesAnswer:
    """Flaws in loaders, and which of their releases are safe to load checkpoints with."""
    return await threads.call(_answer, house_of(request))


def _answer(house: House) -> AdvisoriesAnswer:
    current = house.advisories.current()
    return AdvisoriesAnswer(
        version=current.version,
        rules_version=rules_version(),
        advisories=[
            Flaw(
                id=one.id,
                aliases=list(one.aliases),
                loader=one.loader,
                summary=one.summary,
                source=one.source,
            )
            for one in sorted(current.advisories, key=lambda one: (one.loader, one.id))
        ],
        loaders=[
            GoodReleases(
                loader=floor.loader,
                from_release=floor.from_release or None,
                after_release=floor.after_release or None,
                also=list(floor.also),
                words=f"safe only with {floor}",
            )
            for _, floor in sorted(current.floors.items())
        ],
        known_files=len(current.known_files or {}),
    )
