"""huggingface_hub 2.4.0 itself, without Xet, against a hub that listens."""

import textwrap

PREAMBLE = """
import io, json, os, hashlib
from huggingface_hub import (HfApi, HfFileSystem, CommitOperationAdd, CommitOperationCopy,
    CommitOperationDelete, hf_hub_download, snapshot_download)
from huggingface_hub.errors import *
api = HfApi()
def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")
"""


def script(text: str) -> str:
    return PREAMBLE + textwrap.dedent(text)


def test_a_repo_is_made_filled_read_and_deleted(live):
    live.run(
        script("""
        assert api.whoami()["name"] == "ann"
        url = api.create_repo("ann/first", private=True)
        assert url.repo_id == "ann/first", url
        assert api.create_repo("ann/first", exist_ok=True).repo_id == "ann/first"
        raises(HfHubHTTPError, api.create_repo, "ann/first")
        weights = os.urandom(200_000)
        done = api.create_commit("ann/first", [
            CommitOperationAdd("README.md", b"---\\nlicense: mit\\ntags: [x]\\n---\\n# Hi"),
            CommitOperationAdd("config.json", json.dumps({"model_type": "bert"}).encode()),
            CommitOperationAdd("model.safetensors", weights),
            CommitOperationAdd("empty.bin", b""),
            CommitOperationAdd("a/b/c.txt", "grüße".encode()),
        ], commit_message="Fill it", commit_description="with things")
        info = api.model_info("ann/first", files_metadata=True)
        assert info.sha == done.oid and info.card_data.license == "mit" and "x" in info.tags
        assert info.config == {"model_type": "bert"}
        by_name = {s.rfilename: s for s in info.siblings}
        assert by_name["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
        assert by_name["empty.bin"].lfs is None and by_name["empty.bin"].size == 0
        path = hf_hub_download("ann/first", "model.safetensors")
        assert open(path, "rb").read() == weights
        folder = snapshot_download("ann/first")
        assert open(folder + "/a/b/c.txt", encoding="utf-8").read() == "grüße"
        assert sorted(api.list_repo_files("ann/first")) == sorted([".gitattributes",
            "README.md", "config.json", "model.safetensors", "empty.bin", "a/b/c.txt"])
        commits = api.list_repo_commits("ann/first", formatted=True)
        assert [c.title for c in commits] == ["Fill it", "initial commit"]
        assert commits[0].message == "with things" and commits[0].authors == ["ann"]
        again = api.upload_file(path_or_fileobj=weights, path_in_repo="model.safetensors",
                                repo_id="ann/first")
        assert again.oid == done.oid   # nothing changed, nothing committed
        api.delete_repo("ann/first")
        raises(RepositoryNotFoundError, api.model_info, "ann/first")
    """)
    )


def test_large_files_go_in_parts_and_whole(live):
    live.run(
        script("""
        api.create_repo("ann/large")
        big = os.urandom(4_500_001)
        api.upload_file(path_or_fileobj=io.BytesIO(big), path_in_repo="big.bin",
                        repo_id="ann/large")
        open("disk.pt", "wb").write(os.urandom(2_000_000))
        api.upload_file(path_or_fileobj="disk.pt", path_in_repo="disk.pt", repo_id="ann/large")
        assert open(hf_hub_download("ann/large", "big.bin"), "rb").read() == big
        same = open(hf_hub_download("ann/large", "disk.pt"), "rb").read()
        assert same == open("disk.pt", "rb").read()
        api.create_commit("ann/large", [CommitOperationCopy("big.bin", "copy/of.bin"),
            CommitOperationCopy(".gitattributes", "copy/attributes")], commit_message="copy")
        found = api.get_paths_info("ann/large", ["big.bin", "copy/of.bin", "no"])
        infos = {i.path: i for i in found}
        assert len(infos) == 2 and infos["big.bin"].lfs == infos["copy/of.bin"].lfs
    """)
    )
    staged = [p for p in live.hub.settings.store_dir.rglob("lfs-*/*") if p.is_file()]
    assert staged == []  # parts go away once they are joined


def test_branches_tags_and_pull_requests(live):
    live.run(
        script("""
        api.create_repo("ann/refs")
        api.create_branch("ann/refs", branch="dev/one")
        raises(HfHubHTTPError, api.create_branch, "ann/refs", branch="dev/one")
        api.create_branch("ann/refs", branch="dev/one", exist_ok=True)
        done = api.upload_file(path_or_fileobj=b"1", path_in_repo="one.txt", repo_id="ann/refs",
                               revision="dev/one")
        assert "one.txt" not in api.list_repo_files("ann/refs")
        assert "one.txt" in api.list_repo_files("ann/refs", revision="dev/one")
        api.create_tag("ann/refs", tag="v1", revision="dev/one", tag_message="first")
        raises(HfHubHTTPError, api.create_tag, "ann/refs", tag="v1")
        raises(RevisionNotFoundError, api.create_tag, "ann/refs", tag="bad tag", revision="nope")
        assert api.model_info("ann/refs", revision="v1").sha == done.oid
        pr = api.upload_file(path_or_fileobj=b"2", path_in_repo="two.txt", repo_id="ann/refs",
                             create_pr=True)
        assert pr.pr_num == 1 and pr.pr_revision == "refs/pr/1", pr
        assert "two.txt" in api.list_repo_files("ann/refs", revision="refs/pr/1")
        assert open(hf_hub_download("ann/refs", "two.txt", revision="refs/pr/1")).read() == "2"
        refs = api.list_repo_refs("ann/refs", include_pull_requests=True)
        assert [b.name for b in refs.branches] == ["dev/one", "main"]
        assert refs.tags[0].target_commit == done.oid and refs.pull_requests[0].ref == "refs/pr/1"
        api.delete_tag("ann/refs", tag="v1")
        api.delete_branch("ann/refs", branch="dev/one")
        error = raises(HfHubHTTPError, api.delete_branch, "ann/refs", branch="main")
        assert error.response.status_code == 403
        raises(RevisionNotFoundError, api.upload_file, path_or_fileobj=b"", path_in_repo="x",
               repo_id="ann/refs", revision="dev/one")
    """)
    )


def test_every_error_has_the_class_the_client_has_for_it(live):
    live.run(
        script("""
        api.create_repo("ann/errors", private=True)
        raises(EntryNotFoundError, hf_hub_download, "ann/errors", "nope.json")
        raises(RevisionNotFoundError, hf_hub_download, "ann/errors", "nope", revision="nope")
        raises(EntryNotFoundError, list, api.list_repo_tree("ann/errors", "no/folder"))
        raises(RevisionNotFoundError, list, api.list_repo_tree("ann/errors", revision="no"))
        raises(RepositoryNotFoundError, hf_hub_download, "ann/none", "x")
        raises(RepositoryNotFoundError, api.model_info, "ann/errors", token=False)
        raises(RepositoryNotFoundError, hf_hub_download, "ann/errors", ".gitattributes",
               token=False)
        stale = raises(HfHubHTTPError, api.create_commit, "ann/errors",
            [CommitOperationAdd("a", b"1")], commit_message="m", parent_commit="0" * 40)
        assert stale.response.status_code == 412
        raises(EntryNotFoundError, api.delete_file, "nope", "ann/errors")
        api.update_repo_settings("ann/errors", private=False, gated="auto")
        assert api.model_info("ann/errors", token=False).gated == "auto"
        raises(GatedRepoError, hf_hub_download, "ann/errors", ".gitattributes", token=False)
        raises(ValueError, api.upload_file, path_or_fileobj=b"---\\na: [\\n---\\n",
               path_in_repo="README.md", repo_id="ann/errors")
        bad = raises(HfHubHTTPError, HfApi(token="cairn_wrong").whoami)
        assert bad.response.status_code == 401
        raises(HfHubHTTPError, HfApi(token="cairn_wrong").list_repo_files, "ann/errors")
    """)
    )


def test_a_foreign_account_may_read_and_not_write(live):
    live.run(script('api.create_repo("ann/shared"); api.create_repo("lab/inside", private=True)'))
    live.run(
        script("""
        assert api.model_info("ann/shared").id == "ann/shared"
        for call in (api.delete_repo, api.create_repo):
            assert raises(HfHubHTTPError, call, "ann/shared").response.status_code == 403
        error = raises(HfHubHTTPError, api.upload_file, path_or_fileobj=b"", path_in_repo="x",
                       repo_id="ann/shared")
        assert error.response.status_code == 403, error
        assert api.model_info("lab/inside").private   # bob reads for the lab
        api.auth_check("lab/inside")
        assert raises(HfHubHTTPError, api.auth_check, "lab/inside", write=True)
        """),
        who="bob",
    )


def test_lists_filter_sort_and_page(live):
    live.run(
        script("""
        for n in range(5):
            api.create_repo(f"lab/data-{n}", repo_type="dataset")
            api.upload_file(path_or_fileobj=f"---\\ntags: [t{n % 2}]\\n---\\n".encode(),
                path_in_repo="README.md", repo_id=f"lab/data-{n}", repo_type="dataset")
        names = [d.id for d in api.list_datasets(author="lab", sort="createdAt")]
        assert names == [f"lab/data-{n}" for n in (4, 3, 2, 1, 0)], names
        assert {d.id for d in api.list_datasets(filter="t1")} == {"lab/data-1", "lab/data-3"}
        assert [d.id for d in api.list_datasets(search="data-2")] == ["lab/data-2"]
        assert len(list(api.list_datasets(author="lab", limit=2))) == 2
        full = next(api.list_datasets(author="lab", full=True, limit=1))
        assert {s.rfilename for s in full.siblings} == {".gitattributes", "README.md"}
        some = next(api.list_datasets(author="lab", expand=["sha", "downloads"], limit=1))
        assert some.sha and some.tags is None
        assert list(api.list_models(num_parameters="min:1B")) == []
        assert list(api.list_spaces(author="nobody")) == []
        raises(BadRequestError, list, api.list_models(num_parameters="many"))
        api.create_repo("ann/space", repo_type="space", space_sdk="static")
        assert api.space_info("ann/space").sdk == "static"
    """)
    )


def test_the_file_system_reads_writes_and_lists(live):
    live.run(
        script("""
        fs = HfFileSystem()
        api.create_repo("ann/fs")
        with fs.open("ann/fs/dir/one.txt", "w") as f: f.write("0123456789")
        with fs.open("ann/fs/dir/one.txt", "rb", block_size=4) as f:
            f.seek(3); assert f.read(4) == b"3456"
        assert fs.ls("ann/fs/dir", detail=False) == ["ann/fs/dir/one.txt"]
        assert fs.info("ann/fs/dir/one.txt")["size"] == 10
        assert fs.glob("ann/fs/**/*.txt") == ["ann/fs/dir/one.txt"]
        fs.rm("ann/fs/dir", recursive=True)
        assert not fs.exists("ann/fs/dir/one.txt", refresh=True)
    """)
    )


def test_a_folder_with_a_gitignore_and_many_files_goes_up_and_comes_back(live):
    live.run(
        script("""
        api.create_repo("ann/folder")
        os.makedirs("up/sub/deep", exist_ok=True)
        open("up/.gitignore", "w").write("*.log\\nsub/deep/\\n!keep.log\\n")
        for name in ("a.txt", "x.log", "keep.log", "sub/b.bin", "sub/deep/c.txt"):
            open("up/" + name, "w").write(name)
        for n in range(300):
            open(f"up/sub/{n:03}.json", "w").write(str(n))
        api.upload_folder(folder_path="up", repo_id="ann/folder")
        files = set(api.list_repo_files("ann/folder"))
        assert {"a.txt", "keep.log", "sub/b.bin", "sub/299.json"} <= files, files
        assert not {"x.log", "sub/deep/c.txt"} & files, files
        api.upload_folder(folder_path="up", repo_id="ann/folder", delete_patterns="sub/*.bin",
                          allow_patterns="a.txt")
        assert "sub/b.bin" not in api.list_repo_files("ann/folder")
        tree = list(api.list_repo_tree("ann/folder", "sub", expand=True))
        assert len(tree) == 300 and tree[0].last_commit.oid
        assert len(list(api.list_repo_tree("ann/folder", recursive=True))) > 300
    """)
    )
