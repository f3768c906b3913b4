"""The fields of a small URL-encoded form, read with a cap on their bytes."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from cairn.errors import LimitError, RequestError

MAX_FORM_BYTES = 16 << 10
MAX_FIELDS = 50


async def read_form(request: Request) -> dict[str, str]:
    """The form's fields; of a repeated one the last.

    Raises:
        RequestError: the body is not URL-encoded UTF-8.
        LimitError: it is larger than `MAX_FORM_BYTES`.
    """
    if request.headers.get("content-length") == "0":  # scripts that have nothing to fill in
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RequestError("expected a form (application/x-www-form-urlencoded)")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise LimitError("the form is too large", hint=f"At most {MAX_FORM_BYTES} bytes.")
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise RequestError("the form's fields are not URL-encoded UTF-8") from None
    return dict(fields)
