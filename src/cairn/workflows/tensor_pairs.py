"""Which tensor of one checkpoint is which tensor of another: by name, by wrapper, by content."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from cairn.domain import Checkpoint, Role, TensorInfo
from cairn.errors import UntrustedDataError
from cairn.formats.folder import folder_of
from cairn.formats.limits import MAX_WRAPPER_SEGMENTS
from cairn.workflows.readable import ReadableCheckpoint

_PREFERRED = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_OF_A_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS))


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor under the name it is compared by; `path` is the file that lists it."""

    name: str
    path: str
    tensor: TensorInfo


@dataclass(frozen=True, slots=True)
class Pair:
    """The same tensor before and after; `is_same`: known to hold equal bytes without comparing."""

    before: Placed
    after: Placed
    is_same: bool = False

    @property
    def bytes_to_compare(self) -> int:
        """Bytes of both sides that comparing values goes through."""
        return 0 if self.is_same else self.before.tensor.size_bytes + self.after.tensor.size_bytes

    @property
    def is_renamed(self) -> bool:
        """Whether it goes by another name now."""
        return self.before.name != self.after.name


@dataclass(frozen=True, slots=True)
class Pairing:
    """What belongs together, and what is on one side only; `wrapper` is a prefix all names gained.

    The prefix begins with `-` where it was lost.
    """

    pairs: tuple[Pair, ...]
    removed: tuple[Placed, ...]
    added: tuple[Placed, ...]
    wrapper: str = ""


def pair_tensors(
    before: ReadableCheckpoint, after: ReadableCheckpoint, *, by_content: bool = True
) -> Pairing:
    """Pair the tensors of two checkpoints.

    Equal names first; then names that differ by one prefix that the others gained or lost; then,
    with `by_content`, tensors of one dtype and shape whose bytes are equal.
    """
    left, right = named_sides(before.checkpoint, after.checkpoint)
    pairs = [Pair(left[name], right[name]) for name in left if name in right]
    removed = {name: one for name, one in left.items() if name not in right}
    added = {name: one for name, one in right.items() if name not in left}
    wrapper = _gained_prefix(removed, added)
    for name in list(removed):
        other = _rewrapped(name, wrapper)
        if wrapper and other in added:
            pairs.append(Pair(removed.pop(name), added.pop(other)))
    if by_content:
        pairs.extend(_equal_contents(before, after, removed, added))
    return Pairing(tuple(pairs), tuple(removed.values()), tuple(added.values()), wrapper)


def named_sides(
    before: Checkpoint, after: Checkpoint
) -> tuple[dict[str, Placed], dict[str, Placed]]:
    """The tensors of both sides by the names they are paired by."""
    left, right = placed(before), placed(after)
    if _single_folders(left, right):
        return _without_folder(left), _without_folder(right)
    return left, right


def placed(checkpoint: Checkpoint) -> dict[str, Placed]:
    """Every tensor once by its name outside its container, with its folder before it.

    Where one folder holds the same name in several formats, safetensors counts before the others.
    """
    listed = sorted(checkpoint.tensors(), key=lambda item: _preference(item[0]))
    found: dict[str, Placed] = {}
    for path, tensor in listed:
        name = tensor.name
        if tensor.role in _OF_A_MODEL and tensor.container:
            name = name.removeprefix(tensor.container).lstrip(".")
        key = folder_of(path) + name
        found.setdefault(key, Placed(key, path, tensor))
    return found


def _preference(path: str) -> tuple[int, str]:
    lower = path.lower()
    known = [at for at, suffix in enumerate(_PREFERRED) if lower.endswith(suffix)]
    return (known[0] if known else len(_PREFERRED), path)


def _single_folders(left: Mapping[str, Placed], right: Mapping[str, Placed]) -> bool:
    """Whether each side keeps all its tensors in one folder, wherever that is."""
    return all(len({folder_of(one.path) for one in side.values()}) <= 1 for side in (left, right))


def _without_folder(side: Mapping[str, Placed]) -> dict[str, Placed]:
    found = {}
    for name, one in side.items():
        short = name.removeprefix(folder_of(one.path))
        found[short] = Placed(short, one.path, one.tensor)
    return found


def _gained_prefix(removed: Iterable[str], added: Iterable[str]) -> str:
    """The prefix most leftover names differ by, with `-` before one that was lost; or nothing."""
    gained = _shared_prefix(list(removed), list(added))
    lost = _shared_prefix(list(added), list(removed))
    if gained[1] >= lost[1]:
        return gained[0]
    return f"-{lost[0]}"


def _shared_prefix(short: list[str], long: list[str]) -> tuple[str, int]:
    """A prefix that turns many of the short names into long ones, and how many."""
    wanted = set(short)
    votes: Counter[str] = Counter()
    for name in long:
        start = 0
        for _ in range(MAX_WRAPPER_SEGMENTS):
            start = name.find(".", start) + 1
            if not start:
                break
            if name[start:] in wanted:
                votes[name[:start]] += 1
    best = votes.most_common(1)
    return best[0] if best else ("", 0)


def _rewrapped(name: str, wrapper: str) -> str:
    if wrapper.startswith("-"):
        return name.removeprefix(wrapper[1:]) if name.startswith(wrapper[1:]) else ""
    return wrapper + name


def _equal_contents(
    before: ReadableCheckpoint,
    after: ReadableCheckpoint,
    removed: dict[str, Placed],
    added: dict[str, Placed],
) -> list[Pair]:
    """Pair what has one dtype, shape and content; only candidates on both sides are read.

    What cannot be read, or is far more than the files have, has no pair.
    """
    kinds = {_kind(one) for one in removed.values()} & {_kind(one) for one in added.values()}
    by_content: dict[object, list[str]] = defaultdict(list)
    for name, content in _contents(after, added, kinds):
        by_content[content].append(name)
    for names in by_content.values():
        names.reverse()  # the first is taken first, from the end
    pairs: list[Pair] = []
    contents: list[object] = []
    for name, content in _contents(before, removed, kinds):
        if by_content.get(content):
            pairs.append(Pair(removed[name], added[by_content[content].pop()]))
            contents.append(content)
    if not _tell_apart(pairs, contents):
        return []
    for pair in pairs:
        del removed[pair.before.name], added[pair.after.name]
    return pairs


def _contents(
    side: ReadableCheckpoint, tensors: Mapping[str, Placed], kinds: set[object]
) -> Iterator[tuple[str, object]]:
    """What tensors of these kinds are, content included, by name."""
    left = side.max_value_bytes
    for name, one in list(tensors.items()):
        if _kind(one) not in kinds:
            continue
        left -= one.tensor.size_bytes
        if left < 0:
            return
        with suppress(UntrustedDataError):
            yield name, (_kind(one), content_digest(side.blocks, one))


def _tell_apart(pairs: Sequence[Pair], contents: Sequence[object]) -> bool:
    """Whether any pair of weights is not one of many that are alike.

    Fresh biases and norms of any two models of one width are equal: zeros and ones.
    """
    times = Counter(contents)
    weights = [
        content
        for pair, content in zip(pairs, contents, strict=True)
        if pair.before.tensor.role is Role.WEIGHTS
    ]
    return not weights or any(times[found] == 1 for found in weights)


def _kind(one: Placed) -> object:
    return one.tensor.dtype, one.tensor.shape, one.tensor.role


def content_digest(blocks: Callable[..., Iterable[memoryview]], one: Placed) -> bytes:
    """A digest of a tensor's values in row-major order, for comparing within one process."""
    digest = blake2b(digest_size=16)
    for block in blocks(one.path, one.tensor):
        digest.update(block)
    return digest.digest()
