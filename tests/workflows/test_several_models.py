"""Several models in one checkpoint: whose states an optimizer keeps, and what each one lacks."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from cairn.cli.main import app
from cairn.domain import Checkpoint, Completeness
from cairn.workflows.inspect import inspect_path
from scripts.format_checkpoints import reinforcement
from tests.formats.families.held_out import diffusers_model

UNET = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "cross_attention_dim": 12,
    "attention_head_dim": 4, "norm_num_groups": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
VAE = {
    "block_out_channels": (8, 16), "norm_num_groups": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
}  # fmt: skip


def verdict(found: Checkpoint) -> Completeness:
    assert found.completeness is not None
    return found.completeness


def owners(found: Checkpoint, path: str) -> list[str]:
    """The parameters by the number of their state."""
    own = {prefix: name for (file, prefix), name in found.belongs.items() if file == path}
    return [own[f"state.{number}"] for number in range(len(own))]


def stepped(model: nn.Module, *inputs: torch.Tensor) -> torch.optim.Optimizer:
    """An optimizer with a state for every parameter, as after a step."""
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


# --- accelerate -----------------------------------------------------------------------------


def accelerated(folder: Path, *models: nn.Module) -> None:
    """What `save_state` writes of several models with an optimizer each."""
    import accelerate

    runner: Any = accelerate.Accelerator(cpu=True)
    optimizers = [torch.optim.AdamW(model.parameters()) for model in models]
    prepared = runner.prepare(*models, *optimizers)
    for model, optimizer in zip(prepared, prepared[len(models) :], strict=False):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    runner.save_state(str(folder))


def generator_and_critic() -> tuple[nn.Module, nn.Module]:
    return (
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 6), nn.Linear(6, 1)),
    )


def test_two_models_of_accelerate_are_told_apart_and_own_their_states(tmp_path: Path) -> None:
    models = generator_and_critic()
    accelerated(tmp_path, *models)
    found = inspect_path(tmp_path)
    for file, model in zip(("optimizer.bin", "optimizer_1.bin"), models, strict=True):
        assert owners(found, file) == [name for name, _ in model.named_parameters()]
    assert verdict(found).models == {"model": (), "model_1": ()}
    assert verdict(found).resumable
    assert any("2 models, in model, model_1" in note for note in found.notes)


def test_the_model_whose_optimizer_is_gone_is_named(tmp_path: Path) -> None:
    accelerated(tmp_path, *generator_and_critic())
    (tmp_path / "optimizer_1.bin").unlink()
    found = verdict(inspect_path(tmp_path))
    assert found.models == {"model": (), "model_1": ("optimizer state",)}
    assert found.resumable  # it may have been frozen
    assert "optimizer state of model_1, unless frozen" in found.inexact


def test_states_that_fit_two_models_alike_are_given_to_neither(tmp_path: Path) -> None:
    accelerated(tmp_path, nn.Linear(3, 2), nn.Linear(3, 2))
    found = inspect_path(tmp_path)
    assert found.belongs == {}
    assert any("they fit model and model_1 alike" in note for note in found.notes)
    for lacks in verdict(found).models.values():
        assert lacks == ("optimizer state (there is one whose parameters are not known)",)


def test_numbered_files_that_accelerate_did_not_write_are_one_model(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model_1.safetensors"):
        safetensors.torch.save_file({name: torch.zeros(2, 2)}, tmp_path / name)
    assert verdict(inspect_path(tmp_path)).models == {}


# --- diffusers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training scripts of diffusers save: the UNet by a hook, its average, the rest."""
    import accelerate

    folder = tmp_path_factory.mktemp("diffusion") / "checkpoint-2"
    runner: Any = accelerate.Accelerator(cpu=True)
    unet = diffusers_model("UNet2DConditionModel", **UNET)
    optimizer = torch.optim.AdamW(unet.parameters())
    unet, optimizer = runner.prepare(unet, optimizer)

    def save(models: list[Any], weights: list[Any], output_dir: str) -> None:
        for model in models:
            model.save_pretrained(f"{output_dir}/unet")
            model.save_pretrained(f"{output_dir}/unet_ema")
            weights.pop()

    runner.register_save_state_pre_hook(save)
    for parameter in unet.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    runner.save_state(str(folder))
    return folder


def test_the_states_of_a_unet_in_training_are_its_own_not_its_averages(diffusion: Path) -> None:
    found = inspect_path(diffusion)
    unet = diffusers_model("UNet2DConditionModel", **UNET)
    assert owners(found, "optimizer.bin") == [name for name, _ in unet.named_parameters()]
    assert not any("not matched" in note for note in found.notes)
    assert verdict(found).resumable


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("UNet2DConditionModel", {**UNET, "class_embed_type": "timestep", "encoder_hid_dim": 10}),
        ("UNet2DConditionModel", {**UNET, "dual_cross_attention": True}),
        ("AutoencoderKL", VAE),
    ],
)
def test_parts_of_stable_diffusion_define_their_parameters_in_a_known_order(
    class_name: str, config: dict[str, Any], tmp_path: Path
) -> None:
    model = diffusers_model(class_name, **config)
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    torch.save(stepped(model).state_dict(), tmp_path / "optimizer.bin")
    true = [name for name, _ in model.named_parameters()]
    assert owners(inspect_path(tmp_path), "optimizer.bin") == true


def test_a_part_whose_order_is_not_known_is_noted_with_the_reason(tmp_path: Path) -> None:
    blocks = ("SimpleCrossAttnDownBlock2D", "ResnetDownsampleBlock2D")
    config = {
        **UNET, "down_block_types": blocks, "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ("ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"),
    }  # fmt: skip
    model = diffusers_model("UNet2DConditionModel", **config)
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    torch.save(stepped(model).state_dict(), tmp_path / "optimizer.bin")
    found = inspect_path(tmp_path)
    assert found.belongs == {}
    assert any("the order in which the model defines" in note for note in found.notes)


def test_the_parts_of_a_pipeline_that_are_not_trained_are_named(tmp_path: Path) -> None:
    unet = diffusers_model("UNet2DConditionModel", **UNET)
    unet.save_pretrained(tmp_path / "unet")  # type: ignore[operator]
    vae = diffusers_model("AutoencoderKL", **VAE)
    vae.save_pretrained(tmp_path / "vae")  # type: ignore[operator]
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    state = {"optimizer": stepped(unet).state_dict(), "epoch": 3}
    torch.save(state, tmp_path / "training.pt")
    found = inspect_path(tmp_path)
    assert verdict(found).models == {"unet": (), "vae": ("optimizer state",)}
    assert verdict(found).resumable
    assert "optimizer state of vae, unless frozen" in verdict(found).inexact
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path)], env={"COLUMNS": "200"}).output
    assert "no, missing: optimizer state" in shown


# --- checkpoints of one run -----------------------------------------------------------------


def test_of_two_checkpoints_each_is_judged_by_what_lies_beside_it(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    for step in (1, 2):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    torch.save(stepped(model).state_dict(), folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text('{"global_step": 2}')
    assert verdict(inspect_path(tmp_path)).models == {
        "checkpoint-1": ("optimizer state", "position (epoch or step)"),
        "checkpoint-2": (),
    }


# --- reinforcement learning -----------------------------------------------------------------

OFF_POLICY = {"learning_starts": 4, "buffer_size": 100, "environment": "Pendulum-v1"}


@pytest.mark.parametrize(
    ("algorithm", "networks"),
    [
        ("SAC", ("actor", "critic", "entropy coefficient")),
        ("TD3", ("actor", "critic")),
        ("DDPG", ("actor", "critic")),
    ],
)
def test_actor_and_critic_own_their_states_and_are_judged_apart(
    algorithm: str, networks: tuple[str, ...], tmp_path: Path
) -> None:
    import stable_baselines3

    path = reinforcement(algorithm, **OFF_POLICY)(tmp_path)
    found = inspect_path(path)
    policy = getattr(stable_baselines3, algorithm).load(path).policy
    true = {
        f"policy.{network}.{name}"
        for network in ("actor", "critic")
        for name, _ in getattr(policy, network).named_parameters()
    }
    named = set(found.belongs.values())
    assert named - {"pytorch_variables.log_ent_coef"} == true
    assert ("pytorch_variables.log_ent_coef" in named) == (algorithm == "SAC")
    assert verdict(found).models == dict.fromkeys(networks, ())
    assert found.notes == ()


@pytest.mark.parametrize(
    ("gone", "network"), [("critic.optimizer.pth", "critic"), ("actor.optimizer.pth", "actor")]
)
def test_a_network_that_lost_its_optimizer_cannot_go_on(
    gone: str, network: str, tmp_path: Path
) -> None:
    path = reinforcement("SAC", **OFF_POLICY)(tmp_path)
    cut = tmp_path / "cut.zip"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(cut, "w") as out:
        for name in whole.namelist():
            if name != gone:
                out.writestr(name, whole.read(name))
    found = verdict(inspect_path(cut))
    assert found.missing == (f"optimizer state of {network}",)
    assert not found.resumable
    assert found.models[network] == ("optimizer state",)


def test_policies_trained_as_one_are_not_taken_apart(tmp_path: Path) -> None:
    make: Callable[[Path], Path] = reinforcement("PPO", n_steps=8, batch_size=8, n_epochs=1)
    assert verdict(inspect_path(make(tmp_path))).models == {}


# --- one module of a model ------------------------------------------------------------------


def test_two_optimizers_of_lightning_own_a_module_each(tmp_path: Path) -> None:
    import lightning as pl

    class Adversarial(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.critic = generator_and_critic()

        def training_step(self, batch: torch.Tensor, index: int) -> None:
            for optimizer in self.optimizers():  # type: ignore[union-attr]
                optimizer.zero_grad()
                self.manual_backward(self.critic(self.generator(batch)).mean())
                optimizer.step()

        def configure_optimizers(self) -> Any:
            both = (self.critic, self.generator)
            return [torch.optim.AdamW(module.parameters()) for module in both]

    run = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = Adversarial()
    run.fit(model, torch.utils.data.DataLoader(torch.randn(4, 3), batch_size=4))
    run.save_checkpoint(tmp_path / "model.ckpt", weights_only=False)
    found = inspect_path(tmp_path / "model.ckpt")
    assert found.notes == ()
    for number, part in enumerate(("critic", "generator")):
        true = [f"{part}.{name}" for name, _ in getattr(model, part).named_parameters()]
        for at, name in enumerate(true):
            prefix = f"optimizer_states.{number}.state.{at}"
            assert found.belongs["model.ckpt", prefix] == f"state_dict.{name}"


def test_the_head_that_alone_was_trained_owns_its_states(tmp_path: Path) -> None:
    model = nn.ModuleDict({"base": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    for width, owned in ((2, ["head.weight", "head.bias"]), (3, None)):
        model["head"] = nn.Linear(3, width)
        torch.save(model.state_dict(), tmp_path / "model.pt")
        torch.save(stepped(model["head"]).state_dict(), tmp_path / "optimizer.pt")
        found = inspect_path(tmp_path)
        assert (owners(found, "optimizer.pt") or None) == owned
        # With equal shapes it may as well be the base.
        assert any("not matched" in note for note in found.notes) == (owned is None)
