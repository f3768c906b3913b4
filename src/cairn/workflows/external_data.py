"""Tensors that ONNX models keep in other files: whether these are there, theirs, and long enough.

A model is taken apart without the files beside it; here both are known.
https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

from collections.abc import Iterable, Iterator, Mapping

from cairn.domain import Place
from cairn.errors import MalformedError
from cairn.formats.folder import File, beside
from cairn.scanner.evidence.base import Broken, Evidence
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.evidence.graphs import ExternalData


def checked(path: str, evidence: Iterable[Evidence], files: Mapping[str, object]) -> list[Evidence]:
    """What is wrong with the outside data that a model at `path` names, as more evidence.

    Nothing where there is only the model itself: its data may lie elsewhere, and it is unread then.
    """
    if len(files) == 1:
        return []
    named = (one for one in evidence if isinstance(one, ExternalData) and not one.place.members)
    return [problem for one in named for problem in _problems(path, one, files)]


def _problems(path: str, named: ExternalData, files: Mapping[str, object]) -> Iterator[Evidence]:
    try:
        target = beside(path, named.location)
    except MalformedError:
        return  # a path that may lead out is judged as it stands
    place = Place(offset=named.place.offset)
    file = files.get(target)
    shown = repr(target[:200])
    if not isinstance(file, File):
        yield Broken(place, f"tensors lie in the file {shown}, which is not there")
    elif file.leads_out:
        yield Reference(place, "ONNX data behind a link out of the folder", target[:300])
    elif named.end > file.size_bytes:
        yield Broken(
            place,
            f"tensors lie in the file {shown} up to byte {named.end}, it has {file.size_bytes}",
        )
