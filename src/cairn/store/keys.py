"""Under which keys a store keeps what: raw blobs, recipes, packs, marks."""

from cairn.domain import Digest

RAW = "raw/"
RECIPES = "recipes/"
SETTLED = "settled/"
DAMAGED = "damaged/"
PACKS = "packs/"
STAGING = "staging/"
SKETCHES = "sketches/"
NAMES = "names/"
FAST = "fast/"
PAUSED = "paused"
HUB = "hub"
ROUND = "round"


def raw_key(digest: Digest) -> str:
    """The plain bytes of a blob, as uploaded."""
    return f"{RAW}{digest.hex[:2]}/{digest.hex}"


def recipe_key(digest: Digest) -> str:
    """How to make a blob from parts."""
    return f"{RECIPES}{digest.hex[:2]}/{digest.hex}"


def settled_key(digest: Digest) -> str:
    """An empty object: this blob was examined and stays raw, because nothing would be saved."""
    return f"{SETTLED}{digest.hex[:2]}/{digest.hex}"


def damaged_key(digest: Digest) -> str:
    """An empty object: this blob did not read back; the next upload of it is kept anew."""
    return f"{DAMAGED}{digest.hex[:2]}/{digest.hex}"


def sketch_key(digest: Digest) -> str:
    """Samples of the tensors of a blob kept as a recipe: to find it as a base for others."""
    return f"{SKETCHES}{digest.hex[:2]}/{digest.hex}"


def fast_key(digest: Digest) -> str:
    """An empty object: this blob is kept to be read fast, and may be made small again."""
    return f"{FAST}{digest.hex[:2]}/{digest.hex}"


def pack_key(pack_id: str) -> str:
    """A file of many encoded parts."""
    return f"{PACKS}{pack_id}.pack"


def pack_index_key(pack_id: str) -> str:
    """Where in its pack each part lies; can be rebuilt from the pack."""
    return f"{PACKS}{pack_id}.idx"


def condemned_key(pack_id: str) -> str:
    """An empty object: nothing needs this pack; it goes when readers had time to finish."""
    return f"{PACKS}{pack_id}.dead"


def digest_of_key(key: str) -> Digest:
    """The digest a `raw/`, `recipes/` or `settled/` key ends in.

    Raises:
        NamingError: it ends in something else, so a stranger put the object there.
    """
    return Digest.sha256(key.rsplit("/", 1)[-1])
