"""How every error of this API looks, for its OpenAPI description."""

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """The body of every error; the same text is in the header `X-Error-Message`."""

    error: str = Field(description="What is wrong, where, and what to do.")


def _answer(description: str) -> dict[str, Any]:
    return {"model": Problem, "description": description}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _answer("A name, path or value makes no sense."),
    401: _answer("The token is not known, or the repo is not visible without one."),
    403: _answer("The caller may not read this."),
    404: _answer("No such repo, revision or file for this caller."),
    413: _answer("The file asks for more than a limit allows."),
    422: _answer("A parameter has the wrong form."),
    503: _answer("Try again later."),
}
