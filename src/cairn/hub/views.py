"""Safetensors views of stored files, remembered because content never changes under its digest."""

from cairn.domain import Entry, Layout
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
    memory: ViewMemory,
    checkpoints: CheckpointMemory,
    house: House,
    entries: tuple[Entry, ...],
) -> SafetensorsView:
    """The safetensors file that stored files would make; whoever sends it reads its bytes.

    Raises:
        RequestError: safetensors cannot hold what is in the files.
        UntrustedDataError: a file cannot be read.
        IntegrityError: a stored file is damaged.
    """

    def make() -> SafetensorsView | Refusal:
        try:
            return view_of([_read(checkpoints, house, entry) for entry in entries])
        except (RequestError, UntrustedDataError) as error:
            return type(error), str(error)

    found = memory.get(tuple((e.path, e.blob.digest.hex) for e in entries), make)
    if isinstance(found, SafetensorsView):
        return found
    kind, message = found
    raise kind(message)


def _read(checkpoints: CheckpointMemory, house: House, entry: Entry) -> tuple[Entry, Layout]:
    try:
        checkpoint = read_file(checkpoints, house, entry)
    except BlobNotFoundError as error:
        raise IntegrityError(f"{error}; run `cairn store verify`") from None
    layout = checkpoint.layouts.get(entry.path)
    if layout is None:
        raise MalformedError(checkpoint.unread.get(entry.path, f"{entry.path} holds no tensors"))
    return entry, layout
