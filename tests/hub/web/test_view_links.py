"""Pickled weights offer a download as safetensors on their page, where there is one."""

import pytest
import safetensors.torch
import torch

from tests.formats.making import saved
from tests.hub.web.homes import open_home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    files = {
        "pytorch_model.bin": saved({"w": torch.ones(2, 3)}),
        "odd.bin": saved({"w": torch.ones(2, dtype=torch.complex128)}),
        "broken.bin": b"\0" * 100,
        "model.safetensors": safetensors.torch.save({"w": torch.ones(2)}),
        "notes.txt": b"none",
    }
    with open_home(tmp_path_factory.mktemp("views")) as opened:
        opened.repo("ada/pickled", files)
        yield opened


def test_the_page_of_a_pickle_links_to_its_weights_as_safetensors(home):
    page = home.page("/ada/pickled/blob/main/pytorch_model.bin")
    link = "/ada/pickled/resolve/main/pytorch_model.bin?view=safetensors"
    assert f'href="{link}" download="pytorch_model.safetensors"' in page
    found = safetensors.torch.load(home.client.get(link).content)
    assert torch.equal(found["w"], torch.ones(2, 3))


@pytest.mark.parametrize("name", ["odd.bin", "broken.bin", "model.safetensors", "notes.txt"])
def test_no_link_is_shown_that_would_lead_to_an_error_or_to_the_same(home, name):
    assert "view=safetensors" not in home.page(f"/ada/pickled/blob/main/{name}")
