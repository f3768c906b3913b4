"""What people see of a gated repo that has not let them in: its form, or what became of it."""

from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.catalog import AccessRequest
from cairn.domain import AccessState
from cairn.hub import threads
from cairn.hub.routing import repo_routes
from cairn.hub.web.card_metadata import metadata_of
from cairn.hub.web.markdown import Place, render
from cairn.hub.web.posting import Posting, posted
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.visit import Visit
from cairn.workflows import gate
from cairn.workflows.gate_form import GateForm

ANSWER = "answer:"
"""Before the label in the name of a field: labels are the owner's, other names are ours."""


@dataclass(frozen=True, slots=True)
class GateView:
    """The panel: what is asked, and how the visitor stands. Texts of the card are safe HTML."""

    form: GateForm
    prompt: Markup | None
    description: Markup | None
    asked: AccessRequest | None
    is_whole: bool
    is_auto: bool

    @property
    def state(self) -> str:
        """`open` to a request, or the state of the one that was made."""
        if self.asked is None:
            return "open"
        waits_for_nobody = self.asked.state is AccessState.PENDING and not self.asked.decided_at
        return "open" if self.is_auto and waits_for_nobody else self.asked.state.value


def gate_page(visit: Visit) -> Response:
    """The first page of a repo whose files the visitor may not read."""
    repo = load_repo(visit, files=False)
    record = repo.record
    form = gate.form_of(visit.house, record)
    return visit.render(
        "gate.html",
        repo=repo,
        tab="card",
        section=record.id.type.plural,
        now=visit.now,
        gate=GateView(
            form=form,
            prompt=_markdown(visit, repo, form.prompt),
            description=_markdown(visit, repo, form.description),
            asked=gate.standing(visit.house, visit.actor, record),
            is_whole=visit.actor.is_whole,
            is_auto=record.gated == "auto",
        ),
        metadata=list(metadata_of(visit, record)),
        answer=ANSWER,
    )


def _markdown(visit: Visit, repo: RepoView, text: str) -> Markup | None:
    """What an owner wrote in the card, rendered as a README is and remembered like one."""
    if not text:
        return None
    place = Place(repo.root, repo.revision_name)
    return visit.readmes.get(("gate", text, place), lambda: render(text, place))


async def _ask(request: Request) -> Response:
    posting = await posted(request)
    asked = await threads.call(_asked, posting)
    if "authorization" in request.headers:  # a script, which follows no redirect to a page
        return JSONResponse({"ok": True, "status": asked.state.value})
    return posting.visit.redirect(f"/{posting.repo_id.url_path}")


def _asked(posting: Posting) -> AccessRequest:
    visit = posting.visit
    answers = {
        name.removeprefix(ANSWER): text
        for name, text in posting.form.items()
        if name.startswith(ANSWER)
    }
    message = posting.field("message")
    return gate.ask(visit.house, visit.actor, posting.repo_id, answers, message)


routes: list[BaseRoute] = [*repo_routes("/ask-access", _ask, "POST")]
