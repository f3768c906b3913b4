"""What is in the files of training frameworks, each made by its own writer."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from cairn.domain import Layout, Role
from cairn.formats import FileSource, read_layout
from cairn.formats.roles import role_of_file, role_of_flat_name
from tests.formats.making import layout_of, saved


def read(path) -> Layout:
    with FileSource(path) as source:
        return read_layout(source)


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()


def roles_of(layout: Layout) -> dict[str, Role]:
    return {tensor.name: tensor.role for tensor in layout.tensors}


@pytest.fixture
def trained():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    stepped(model, optimizer)
    return model, optimizer


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch.optim.lr_scheduler.StepLR(o, 5),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=9),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5),
        lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: step),
    ],
)
def test_every_scheduler_of_torch_is_one(trained, make) -> None:
    schedule = make(trained[1])
    assert layout_of(saved(schedule.state_dict())).sections[""] is Role.SCHEDULER
    assert layout_of(saved({"x": schedule.state_dict()})).sections["x"] is Role.SCHEDULER


@pytest.mark.parametrize(
    "make",
    [
        torch.optim.Adam,
        torch.optim.Adamax,
        torch.optim.Adagrad,
        torch.optim.Adadelta,
        torch.optim.RMSprop,
        torch.optim.NAdam,
        lambda p: torch.optim.SGD(p, momentum=0.9),
    ],
)
def test_every_optimizer_of_torch_is_one(make) -> None:
    model = nn.Linear(3, 2)
    optimizer = make(model.parameters())
    stepped(model, optimizer)
    layout = layout_of(saved(optimizer.state_dict()))
    assert layout.sections == {"": Role.OPTIMIZER}
    assert set(roles_of(layout).values()) == {Role.OPTIMIZER}


def test_a_grad_scaler_is_known_though_it_holds_no_tensor() -> None:
    scaler = torch.amp.GradScaler("cpu").state_dict()
    layout = layout_of(saved(scaler), "anything")
    assert layout.sections == {"": Role.SCALER}
    assert layout.metadata["scale"] == 65536.0
    layout = layout_of(saved({"amp": scaler, "w": torch.ones(1)}))
    assert layout.sections == {"amp": Role.SCALER}


def test_averages_of_weights_are_told_from_weights() -> None:
    from diffusers.training_utils import EMAModel

    state = EMAModel(nn.Linear(2, 2).parameters()).state_dict()
    layout = layout_of(saved(state))
    assert roles_of(layout) == {"shadow_params.0": Role.EMA, "shadow_params.1": Role.EMA}
    assert layout.metadata["decay"] == 0.9999
    layout = layout_of(saved({"state_dict": {"model_ema.w": torch.ones(1), "w": torch.ones(1)}}))
    assert roles_of(layout) == {
        "state_dict.model_ema.w": Role.EMA,
        "state_dict.w": Role.WEIGHTS,
    }
    assert roles_of(layout_of(saved({"ema": {"w": torch.ones(1)}}))) == {"ema.w": Role.EMA}


def test_a_stateful_loader_is_the_data_position() -> None:
    """As `StatefulDataLoader` of torchdata 0.11 writes it, without and with workers."""
    alone = {
        "_index_sampler_state": None,
        "_sampler_iter_state": {"samples_yielded": 2, "generator": torch.get_rng_state()},
        "_sampler_iter_yielded": 1,
        "_num_yielded": 1,
        "_IterableDataset_len_called": None,
        "_shared_seed": None,
        "fetcher_state": None,
        "dataset_state": None,
        "_iterator_finished": False,
    }
    workers = {
        "_snapshot": {"_snapshot_step": 1, "_last_yielded_worker_id": 0},
        "_steps_since_snapshot": 0,
        "_iterator_finished": False,
    }
    for state in (alone, workers):
        layout = layout_of(saved(state))
        assert layout.sections[""] is Role.DATA
        assert set(layout.roles()) <= {Role.DATA}
        layout = layout_of(saved({"model": {}, "train_state": {"loader": state}}))
        assert layout.sections["train_state.loader"] is Role.DATA


def test_files_of_accelerate_are_known(tmp_path) -> None:
    import accelerate
    from accelerate.data_loader import SeedableRandomSampler

    accelerator = accelerate.Accelerator(cpu=True)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader = torch.utils.data.DataLoader([torch.ones(3)] * 4)
    model, optimizer, schedule, loader = accelerator.prepare(model, optimizer, schedule, loader)
    for batch in loader:
        model(batch).sum().backward()
        optimizer.step()
        break
    accelerator.save_state(str(tmp_path))
    torch.save(torch.amp.GradScaler("cpu").state_dict(), tmp_path / "scaler.pt")
    torch.save(SeedableRandomSampler([1, 2], data_seed=3), tmp_path / "sampler.bin")
    torch.save({"position": torch.tensor(5)}, tmp_path / "dl_state_dict_1.bin")
    expected = {
        "model.safetensors": Role.WEIGHTS,
        "optimizer.bin": Role.OPTIMIZER,
        "scheduler.bin": Role.SCHEDULER,
        "random_states_0.pkl": Role.RNG,
        "scaler.pt": Role.SCALER,
        "sampler.bin": Role.DATA,
        "dl_state_dict_1.bin": Role.DATA,
    }
    for name, role in expected.items():
        layout = read(tmp_path / name)
        assert {*layout.sections.values(), *layout.roles()} == {role}, name
    assert read(tmp_path / "random_states_0.pkl").metadata["step"] == 0


def test_files_of_the_trainer_are_known(tmp_path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    config = BertConfig(
        vocab_size=16,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    rows = [{"input_ids": [1, 2], "attention_mask": [1, 1], "labels": i % 2} for i in range(4)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        save_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows).train()
    folder = tmp_path / "checkpoint-2"
    expected = {
        "optimizer.pt": Role.OPTIMIZER,
        "scheduler.pt": Role.SCHEDULER,
        "rng_state.pth": Role.RNG,
        "training_args.bin": Role.METADATA,
    }
    for name, role in expected.items():
        assert read(folder / name).sections[""] is role, name
    assert set(read(folder / "model.safetensors").roles()) == {Role.WEIGHTS}
    assert read(folder / "training_args.bin").metadata["max_steps"] == 2
    assert roles_of(read(folder / "optimizer.pt"))["state.0.exp_avg"] is Role.OPTIMIZER


@pytest.mark.filterwarnings("ignore")
def test_a_lightning_checkpoint_shows_its_parts(tmp_path) -> None:
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self, width: int = 4) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))

        def training_step(self, batch, _):
            return self.net(batch).sum()

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), lr=0.25)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    class Loader(torch.utils.data.DataLoader):
        def state_dict(self):
            return {"position": 7}

        def load_state_dict(self, state):
            raise NotImplementedError

    data = Loader(torch.ones(4, 3), batch_size=2)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(tmp_path),
    )
    trainer.fit(Lit(), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    layout = read(tmp_path / "last.ckpt")
    roles = roles_of(layout)
    assert roles["state_dict.net.0.weight"] is Role.WEIGHTS
    assert roles["state_dict.net.1.running_var"] is Role.BUFFERS
    assert roles["optimizer_states.0.state.0.exp_avg"] is Role.OPTIMIZER
    assert layout.metadata["global_step"] == 2
    assert layout.metadata["epoch"] == 1
    assert layout.metadata["hyper_parameters.width"] == 4
    assert layout.metadata["pytorch-lightning_version"] == lightning.__version__
    assert layout.sections["loops"] is Role.METADATA
    assert layout.sections["lr_schedulers"] is Role.SCHEDULER
    assert layout.sections["optimizer_states"] is Role.OPTIMIZER
    assert layout.sections["state_dict"] is Role.WEIGHTS
    assert layout.sections["loops.fit_loop.state_dict.combined_loader"] is Role.DATA
    assert layout.metadata["loops.fit_loop.state_dict.combined_loader.0.position"] == 7


def test_buffers_of_models_are_told_from_parameters() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_head=2, n_layer=1, n_positions=6, vocab_size=9))
    state = {
        **model.state_dict(),
        "h.0.attn.bias": torch.ones(1, 1, 6, 6).tril(),
        "h.0.attn.masked_bias": torch.tensor(-1e4),
        "bn.running_mean": torch.ones(2),
        "rotary_emb.inv_freq": torch.ones(2),
        "embeddings.position_ids": torch.arange(6)[None],
        "conv.bias": torch.ones(4),
    }
    buffers = {
        "h.0.attn.bias",
        "h.0.attn.masked_bias",
        "bn.running_mean",
        "rotary_emb.inv_freq",
        "embeddings.position_ids",
    }
    for wrapped in (state, {"state_dict": state}):
        found = roles_of(layout_of(saved(wrapped)))
        named = {name.removeprefix("state_dict.") for name in found if found[name] is Role.BUFFERS}
        assert named == buffers
    flat = {name: role_of_flat_name(name, tuple(tensor.shape)) for name, tensor in state.items()}
    assert {name for name in flat if flat[name] is Role.BUFFERS} == buffers


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("checkpoint-2/rng_state.pth", Role.RNG),
        ("rng_state_3.pth", Role.RNG),
        ("random_states_0.pkl", Role.RNG),
        ("scaler.pt", Role.SCALER),
        ("sampler_1.bin", Role.DATA),
        ("optimizer_1.bin", Role.OPTIMIZER),
        ("scheduler/model.safetensors", None),
        ("optimizer_notes.txt", None),
        ("samplerate.bin", None),
        ("pytorch_model.bin", None),
    ],
)
def test_names_of_files_say_little(path, role) -> None:
    assert role_of_file(path) is role


def test_random_states_saved_by_hand_are_known() -> None:
    states = {
        "rng": {"torch": torch.get_rng_state(), "python": random.getstate()},
        "np_rng_state": np.random.get_state(),
        "w": torch.ones(1),
    }
    layout = layout_of(saved(states))
    assert layout.sections == {"rng": Role.RNG, "np_rng_state": Role.RNG}
