"""The first page of a repo: its README rendered, how to use it, what it is made of and kept in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import AccessRequest, RepoRecord
from cairn.domain import Entry, Manifest, RepoType, Revision
from cairn.errors import EntryNotFoundError, GatedError
from cairn.hub.routing import repo_routes
from cairn.hub.web import svg
from cairn.hub.web.card_metadata import metadata_of
from cairn.hub.web.gate import gate_page
from cairn.hub.web.listing import push_snippet
from cairn.hub.web.markdown import MAX_README_BYTES, Place, render
from cairn.hub.web.parts import dtype_parts
from cairn.hub.web.proof_view import proof_view
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import bytes_text
from cairn.workflows import browse
from cairn.workflows.cards import CARD_PATH
from cairn.workflows.front_matter import card_body
from cairn.workflows.gate import standing
from cairn.workflows.house import House

GITATTRIBUTES = ".gitattributes"  # a new repo starts with this file alone


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes given and bytes on disk."""

    logical_bytes: int
    stored_bytes: int


def _first_page(visit: Visit) -> Response:
    """The card or, where the visitor may not read it, the gate in front of it."""
    try:
        return _card(visit)
    except GatedError:
        return gate_page(visit)


def _card(visit: Visit) -> Response:
    repo = load_repo(visit)
    manifest = _manifest(visit.house, repo.revision)
    kept = _kept(visit.house, manifest)
    record = repo.record
    parts = dtype_parts(record.parameters) if record.parameters and repo.is_default else []
    return visit.render(
        "card.html",
        repo=repo,
        tab="card",
        section=record.id.type.plural,
        now=visit.now,
        readme=_readme(visit, repo) if repo.revision else None,
        uses=list(uses(visit, record)),
        parts=parts,
        parameters=sum(part.value for part in parts),
        bar=svg.stacked_bar(parts, "Parameters by dtype", _described(parts)),
        empty=manifest.entries.keys() <= {GITATTRIBUTES},
        kept=kept,
        kept_bar=svg.pair_bar(kept.logical_bytes, kept.stored_bytes, "Kept in"),
        proof=proof_view(visit, repo),
        safety=repo_badge(visit, repo),
        metadata=list(metadata_of(visit, record)),
        access=_let_in(visit, record),
        push_snippet=push_snippet(visit, record.id.full_name, record.id.type),
    )


def _let_in(visit: Visit, record: RepoRecord) -> AccessRequest | None:
    """By which request the visitor is in, where there is a gate that they do not own."""
    if not record.gated or visit.actor.may_read_private(record.id):
        return None
    return standing(visit.house, visit.actor, record)


def _described(parts: list[svg.Part]) -> str:
    return ", ".join(f"{part.label}: {part.text}" for part in parts)


def _readme(visit: Visit, repo: RepoView) -> Markup | None:
    assert repo.revision is not None
    try:
        entry = browse.node(visit.house, repo.revision, CARD_PATH)
    except EntryNotFoundError:
        return None
    if not isinstance(entry, Entry):
        return None
    return readme_html(visit, entry, Place(repo.root, repo.revision_name))


def readme_html(visit: Visit, entry: Entry, place: Place) -> Markup:
    """A stored Markdown file as safe HTML; one that is too large is named, not rendered.

    Rendering a hostile file may take seconds (measured: 2 s for the worst 128 KiB), so what
    was rendered is remembered.
    """
    if entry.blob.size_bytes > MAX_README_BYTES:
        words = "{} has {}: too large to show here. <a href='{}'>Open the file</a>."
        url = place.file_url(entry.path)
        return Markup("<p>" + words + "</p>").format(  # noqa: S704 - a constant
            entry.path, bytes_text(entry.blob.size_bytes), url
        )

    def rendered() -> Markup:
        content = visit.house.store.read_bytes(entry.blob.digest, MAX_README_BYTES)
        return render(card_body(content.decode("utf-8", "replace")), place)

    return visit.readmes.get((entry.blob.digest, place), rendered)


def _manifest(house: House, revision: Revision | None) -> Manifest:
    return house.catalog.history.manifest(revision.tree) if revision else Manifest({})


def _kept(house: House, manifest: Manifest) -> Kept:
    digests = {entry.blob.digest for entry in manifest.entries.values()}
    return Kept(manifest.size_bytes, house.store.stored_bytes(digests))


# Of transformers, for tasks whose head `AutoModel` would leave out.
_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
    "object-detection": "AutoModelForObjectDetection",
}
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}\Z", re.ASCII)


def uses(visit: Visit, record: RepoRecord) -> Iterator[tuple[str, str]]:
    """Label and text of the snippets that fetch this repo with tools people have."""
    name = record.id.full_name
    option = "" if record.id.type is RepoType.MODEL else f" --repo-type {record.id.type.value}"
    endpoint_line = f"export HF_ENDPOINT={visit.hub_url}"
    yield "Download every file", f"{endpoint_line}\nhf download {name}{option}"
    library = (record.library_name or "").lower()
    kind = _CLASSES.get(record.pipeline_tag or "", "AutoModel")
    base = record.card.get("base_model")
    if isinstance(base, list) and len(base) == 1:
        base = base[0]
    if record.id.type is RepoType.DATASET:
        yield (
            "Load in Python",
            f'from datasets import load_dataset\n\ndata = load_dataset("{name}")',
        )
    elif library == "sentence-transformers":
        yield (
            "Load in Python",
            "from sentence_transformers import SentenceTransformer\n\n"
            f'model = SentenceTransformer("{name}")',
        )
    elif library == "diffusers":
        yield (
            "Load in Python",
            "from diffusers import DiffusionPipeline\n\n"
            f'pipe = DiffusionPipeline.from_pretrained("{name}")',
        )
    elif library == "peft" and isinstance(base, str) and _REPO.match(base):
        yield (
            "Load in Python",
            f"from peft import PeftModel\nfrom transformers import {kind}\n\n"
            f'base = {kind}.from_pretrained("{base}")\n'
            f'model = PeftModel.from_pretrained(base, "{name}")',
        )
    elif library == "transformers" or "transformers" in record.tags:
        yield (
            "Load in Python",
            f'from transformers import {kind}\n\nmodel = {kind}.from_pretrained("{name}")',
        )


routes: list[BaseRoute] = [
    *repo_routes("", endpoint(_first_page), "GET", "HEAD"),
    *repo_routes("/card/{rev}", endpoint(_card), "GET", "HEAD"),
]
