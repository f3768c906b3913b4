"""A family moved from one hub to another in one file: the stock client sees the same repos."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.compat import minilm
from tests.compat.clients import LFS, Client
from tests.compat.hubs import Hub

BASE = np.random.default_rng(1).normal(0, 0.02, 100_000).astype(np.float32)
STEP = np.random.default_rng(2).normal(0, 1e-5, 100_000).astype(np.float32)


@pytest.mark.slow
def test_a_family_moves_to_another_hub_in_one_file(
    hub: Hub, default_client: Client, name: str, tmp_path: Path
) -> None:
    tuned = f"{name}-tuned"
    for repo, weights in ((name, BASE), (tuned, BASE + STEP)):
        folder = tmp_path / repo.replace("/", "-")
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(save({"w": weights}))
        (folder / "README.md").write_text(f"---\nbase_model: {name}\n---\n# {repo}\n")
        default_client.api.create_repo(repo, private=repo == tuned)
        default_client.api.upload_folder(repo_id=repo, folder_path=folder)
    default_client.api.create_tag(tuned, tag="v1")
    hub.cairn("store", "optimize")
    path = tmp_path / "family.cairn"
    hub.cairn("store", "export", tuned, "--family", "-o", path)
    assert path.stat().st_size < 1.6 * BASE.nbytes

    with Hub(tmp_path / "other") as other:
        token = other.add_user(name.partition("/")[0])
        other.cairn("store", "import", path)
        client = Client(LFS, other.url, token, tmp_path / "home")
        try:
            for repo in (name, tuned):
                infos = [c.api.model_info(repo) for c in (default_client, client)]
                assert infos[0].sha == infos[1].sha
                assert infos[0].private == infos[1].private == (repo == tuned)
                pulled = [
                    Path(c.api.snapshot_download(repo, local_dir=tmp_path / f"{n}" / repo))
                    for n, c in enumerate((default_client, client))
                ]
                assert minilm.digests(pulled[0]) == minilm.digests(pulled[1]) != {}
            (tag,) = client.api.list_repo_refs(tuned).tags
            assert tag.name == "v1"
        finally:
            client.close()
        assert other.verified()["checked"] > 0
