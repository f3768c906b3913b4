"""Safetensors views of stored files, remembered because content never changes under its digest."""

from cairn.domain import Entry
from cairn.errors import (
    BlobNotFoundError,
    IntegrityError,
    MalformedError,
    RequestError,
    UntrustedDataError,
)
from cairn.hub.checkpoints import CheckpointMemory, read_file
from cairn.hub.memory import Memory
from cairn.workflows.house import House
from cairn.workflows.views import SafetensorsView, view_of

MAX_REMEMBERED_RUNS = 60_000  # tensors of about 0.6 kB each with their share of the header: 40 MB

Refusal = tuple[type[RequestError | UntrustedDataError], str]
ViewMemory = Memory[SafetensorsView | Refusal]


def view_memory() -> ViewMemory:
    """A memory for what `stored_view` finds."""
    return Memory(MAX_REMEMBERED_RUNS, _weight)


def _weight(view: SafetensorsView | Refusal) -> int:
    return 1 + (len(view.reframing.runs) if isinstance(view, SafetensorsView) else 0)


def stored_view(
    memory: ViewMemory, checkpoints: CheckpointMemory, house: House, entry: Entry
) -> SafetensorsView:
    """The safetensors file that a stored file would make; its bytes are read by whoever sends it.

    Raises:
        RequestError: safetensors cannot hold what is in the file.
        UntrustedDataError: the file cannot be read.
        IntegrityError: the stored file is damaged.
    """

    def make() -> SafetensorsView | Refusal:
        try:
            return _made(checkpoints, house, entry)
        except (RequestError, UntrustedDataError) as error:
            return type(error), str(error)

    found = memory.get((entry.path, entry.blob.digest.hex), make)
    if isinstance(found, SafetensorsView):
        return found
    kind, message = found
    raise kind(message)


def _made(checkpoints: CheckpointMemory, house: House, entry: Entry) -> SafetensorsView:
    try:
        checkpoint = read_file(checkpoints, house, entry)
    except BlobNotFoundError as error:
        raise IntegrityError(f"{error}; run `cairn store verify`") from None
    layout = checkpoint.layouts.get(entry.path)
    if layout is None:
        raise MalformedError(checkpoint.unread.get(entry.path, f"{entry.path} holds no tensors"))
    return view_of(entry, layout)
