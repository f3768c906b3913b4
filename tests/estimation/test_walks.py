"""What the walks say is kept and computed, against what autograd keeps and torch counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cairn.errors import RequestError
from cairn.estimation.plan import Attention, Method, Plan
from cairn.estimation.subject import Subject
from cairn.estimation.walking import Walker
from tests.estimation.subjects import decoder, subject_of_model, tiny

WORDS, BATCH, SEQ = 300, 2, 32
KEPT_WITHIN = 0.06
COUNTED_WITHIN = 0.01


@dataclass(frozen=True)
class Case:
    family: str
    make: Callable[[], Any]
    inputs: Callable[[], dict[str, Any]]
    plan: dict[str, Any] = field(default_factory=dict)


def words(**more: tuple[int, int]) -> dict[str, Any]:
    shapes = {"input_ids": (BATCH, SEQ), **more}
    return {name: torch.randint(4, WORDS, shape) for name, shape in shapes.items()}


def labelled() -> dict[str, Any]:
    found = words()
    return {**found, "labels": found["input_ids"]}


def unet() -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    model = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    model.set_attn_processor(AttnProcessor())
    return model


SMALL = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
WIDE = {**SMALL, "intermediate_size": 96, "vocab_size": WORDS}
TWO = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
CASES = {
    "bert": Case(
        "bert",
        tiny("Bert", "ForSequenceClassification", **WIDE),
        lambda: {**words(), "labels": torch.zeros(BATCH, dtype=torch.long)},
    ),
    "llama": Case(
        "llama-like",
        tiny("Llama", "ForCausalLM", **WIDE, num_key_value_heads=2, tie_word_embeddings=False),
        labelled,
    ),
    "gpt2": Case(
        "gpt2",
        tiny("GPT2", "LMHeadModel", n_embd=32, n_layer=2, n_head=4, vocab_size=WORDS),
        labelled,
    ),
    "t5": Case(
        "t5",
        tiny(
            *("T5", "ForConditionalGeneration"),
            d_model=32,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            d_kv=8,
            vocab_size=WORDS,
            decoder_start_token_id=0,
            feed_forward_proj="gated-gelu",
        ),
        lambda: words(labels=(BATCH, 16)),
        {"target_seq": 16},
    ),
    "whisper": Case(
        "whisper",
        tiny(
            *("Whisper", "ForConditionalGeneration"),
            **{**TWO, "d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4},
            vocab_size=WORDS,
            max_source_positions=50,
            max_target_positions=40,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=3,
        ),
        lambda: {
            "input_features": torch.randn(BATCH, 80, 100),
            "labels": torch.randint(4, WORDS, (BATCH, SEQ)),
        },
    ),
    "wav2vec2": Case(
        "wav2vec2",
        tiny(
            *("Wav2Vec2", "ForCTC"),
            **{**SMALL, "intermediate_size": 64, "conv_dim": (16,) * 7, "vocab_size": 32},
            layerdrop=0.0,
            mask_time_prob=0.0,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=1,  # torch counts gradients of several as of one
        ),
        lambda: {
            "input_values": torch.randn(BATCH, 8000),
            "labels": torch.randint(1, 32, (BATCH, 4)),
        },
        {"seq": 8000},
    ),
    "yolos": Case(
        "yolo",
        tiny(
            *("Yolos", "ForObjectDetection"),
            **{**SMALL, "intermediate_size": 64, "image_size": [32, 48], "patch_size": 8},
            num_detection_tokens=5,
        ),
        lambda: {"pixel_values": torch.randn(BATCH, 3, 32, 48)},
    ),
    "resnet": Case(
        "resnet",
        tiny(
            *("ResNet", "ForImageClassification"),
            embedding_size=16,
            hidden_sizes=[16, 32, 64, 128],
            depths=[2, 2, 2, 2],
        ),
        lambda: {
            "pixel_values": torch.randn(BATCH, 3, 64, 64),
            "labels": torch.zeros(BATCH, dtype=torch.long),
        },
        {"image": 64},
    ),
    "unet": Case(
        "stable-diffusion",
        unet,
        lambda: {
            "sample": torch.randn(BATCH, 4, 16, 16),
            "timestep": torch.tensor([1, 2]),
            "encoder_hidden_states": torch.randn(BATCH, 77, 16),
        },
    ),
}


def run(model: Any, inputs: dict[str, Any]) -> tuple[int, torch.Tensor]:
    """Bytes that autograd keeps of a forward pass, parameters apart, and the loss."""
    owned = {one.untyped_storage()._cdata for one in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            kept[storage._cdata] = storage  # held, so that no other gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(**inputs)
        if getattr(out, "loss", None) is not None:
            loss = out.loss
        else:
            loss = sum(out[key].sum() for key in ("logits", "pred_boxes", "sample") if key in out)
    return sum(storage.nbytes() for storage in kept.values()), loss


QUICK = ("bert", "llama", "resnet")


@pytest.mark.parametrize(
    "name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in CASES]
)
def test_a_walk_keeps_what_autograd_keeps_and_counts_what_torch_counts(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    model = case.make().train()
    plan = Plan(batch=BATCH, attention=Attention.EAGER, on_cpu=True, **{"seq": SEQ, **case.plan})
    tape = Walker(subject_of_model(model, case.family)).tape(plan)
    with FlopCounterMode(display=False) as counter:
        kept, loss = run(model, case.inputs())
        loss.backward()  # type: ignore[no-untyped-call]
    # Of the logits' fullest moment a third is kept by the forward pass.
    assert tape.kept_bytes + tape.logits_bytes / 3 == pytest.approx(kept, rel=KEPT_WITHIN)
    counted = counter.get_total_flops()
    assert tape.forward_flops + tape.backward_flops == pytest.approx(counted, rel=COUNTED_WITHIN)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_an_adapter_keeps_and_trains_what_peft_does(dropout: float) -> None:
    from peft import LoraConfig, get_peft_model

    case = CASES["llama"]
    torch.manual_seed(0)
    # Nothing below the first adapter keeps anything: of many layers that is a small part.
    base = tiny(
        *("Llama", "ForCausalLM"),
        **{**WIDE, "num_hidden_layers": 6, "num_key_value_heads": 2, "tie_word_embeddings": False},
    )().train()
    walker = Walker(subject_of_model(base, case.family))
    plan = Plan(
        Method.LORA, BATCH, SEQ, rank=4, attention=Attention.EAGER, on_cpu=True,
        adapter_dropout=dropout,
    )  # fmt: skip
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], lora_dropout=dropout)
    model = get_peft_model(base, settings)
    counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert walker.trained(plan).count == counted
    with FlopCounterMode(display=False) as counter:
        kept, loss = run(model, case.inputs())
        loss.backward()
    tape = walker.tape(plan)
    assert tape.kept_bytes + tape.logits_bytes / 3 == pytest.approx(kept, rel=KEPT_WITHIN)
    flops = tape.forward_flops + tape.backward_flops
    assert 1 <= flops / counter.get_total_flops() < 1.1


def test_checkpointing_keeps_what_goes_into_each_block_and_computes_it_twice() -> None:
    walker = Walker(decoder(layers=8))
    plain, again = (
        walker.tape(Plan(batch=2, seq=32, checkpointing=value)) for value in (False, True)
    )
    assert again.kept_bytes < plain.kept_bytes / 4
    assert again.forward_flops == plain.forward_flops
    blocks = again.backward_flops - plain.backward_flops
    assert 0.8 * plain.forward_flops < blocks < plain.forward_flops


def test_an_expert_counts_for_the_tokens_that_it_gets() -> None:
    dense = decoder()
    shapes = {}
    for name, shape in dense.tensors.items():
        if ".mlp." in name:
            before, after = name.split(".mlp.")
            shapes |= {f"{before}.mlp.experts.{n}.{after}": shape for n in range(4)}
        else:
            shapes[name] = shape
    facts = {**dense.facts, "num_experts": 4, "num_experts_per_tok": 2}
    mixture = Subject("llama-like", shapes, {**facts, "num_experts_per_tok": 1}, dense.config)
    two = Subject("llama-like", shapes, facts, dense.config)
    flops = [Walker(one).tape(Plan()).forward_flops for one in (dense, mixture, two)]
    assert flops[0] == flops[1] < flops[2]
    assert two.parameters > dense.parameters


def test_what_has_no_blocks_with_attention_is_refused_by_name() -> None:
    strange = Subject("mamba", {"layers.0.mixer.in_proj.weight": (8, 4)})
    with pytest.raises(RequestError, match=r"no closed form for mamba.*--exact"):
        Walker(strange).tape(Plan())


def test_an_adapter_that_would_go_nowhere_is_refused_and_gguf_has_its_own_names() -> None:
    nowhere = Plan(Method.LORA, targets=("nothing",))
    with pytest.raises(RequestError, match="go to nothing, and nothing is called so here"):
        Walker(decoder()).trained(nowhere)
    named = {n.replace("self_attn.q_proj", "attn_q"): s for n, s in decoder().tensors.items()}
    assert Walker(Subject("llama-like", named)).trained(Plan(Method.LORA)).count > 0
