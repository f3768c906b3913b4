"""What it takes to fine-tune a model, on its page and in the API."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from tests.estimation.subjects import decoder
from tests.hub.web.homes import HTML, Home

PAGE = "/ada/small/estimate/main"
API = "/api/cairn/models/ada/small/estimate/main"


@pytest.fixture
def small(home: Home) -> Home:
    shapes = decoder(layers=2, width=32, wide=64, words=50).tensors
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 50,
    }
    weights = save({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    files = {"model.safetensors": weights, "config.json": json.dumps(config).encode()}
    home.repo("ada/small", files)
    return home


def test_the_page_shows_memory_by_part_and_every_device(small: Home) -> None:
    page = small.page(PAGE)
    for words in ("as the backward pass begins", "activations", "framework (assumed)", "estimated"):
        assert words in page
    assert "NVIDIA H100 SXM" in page and "not checked" in page
    assert "No price is set on this hub" in page and ">Cost<" not in page
    assert "/ada/small/estimate/main" in small.page("/ada/small/tensors/main")


def test_the_form_says_what_to_reckon_with(small: Home) -> None:
    page = small.page(f"{PAGE}?method=full&batch=1048576&seq=512&device=t4&checkpointing=yes")
    assert "<option selected>full</option>" in page and 'value="1048576"' in page
    assert "It does not fit on NVIDIA T4" in page and "LoRA of rank 8" in page
    assert ">fits</span>" in page  # smaller batches do, 8-bit AdamW alone does not
    assert "NVIDIA H100 SXM</td>" not in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("method=<b>", "method &#39;&lt;b&gt;&#39; is none of full, lora"),
        ("batch=-1", "batch &#39;-1&#39; is not a whole number"),
        ("batch=9999999", "is not in 1 to"),
        ("device=abacus", "no device &#39;abacus&#39;"),
    ],
)
def test_a_request_that_makes_no_sense_is_said_on_the_page(
    small: Home, query: str, words: str
) -> None:
    assert words in small.page(f"{PAGE}?{query}")
    assert small.client.get(f"{API}?{query}").status_code == 400


def test_the_api_gives_what_the_command_prints_and_the_devices(small: Home) -> None:
    told = small.client.get(f"{API}?method=full&batch=2&device=h100").json()
    assert told["plan"]["method"] == "full" and told["plan"]["batch"] == 2
    assert told["memory"]["basis"] == "estimated" and len(told["devices"]) == 1
    assert len(told["commit"]) == 40
    listed = small.client.get("/api/cairn/devices").json()["devices"]
    assert {"h100", "cpu"} <= {one["name"] for one in listed}


def test_a_model_without_a_closed_form_and_one_without_weights_say_so(home: Home) -> None:
    odd = save({"layers.0.mixer.weight": np.zeros((4, 4), np.float32)})
    home.repo("ada/odd", {"model.safetensors": odd})
    page = home.page("/ada/odd/estimate/main")
    assert "No estimate:" in page and "no closed form" in page
    home.repo("ada/text", {"README.md": b"# Words"})
    assert "holds no weights" in home.page("/ada/text/estimate/main")
    assert home.client.get(API.replace("small", "text")).status_code == 404


def test_a_private_model_is_shown_to_nobody_else(home: Home) -> None:
    home.repo("ada/hidden", {"README.md": b"# Mine"}, private=True)
    answer = home.client.get("/ada/hidden/estimate/main", headers=HTML)
    assert answer.status_code in (401, 404)
