"""Stable Diffusion: UNet and VAE of diffusers, and the single files of the original code.

Names: https://github.com/huggingface/diffusers/tree/main/src/diffusers/models and
https://github.com/CompVis/latent-diffusion/tree/main/ldm. The text encoder is a CLIP.
"""

from types import MappingProxyType

from cairn.formats.family import NamedFamily, Naming, axis, layers

_UNET = {
    "in_channels": axis(1, "conv_in.weight"),
    "out_channels": axis(0, "conv_out.weight"),
    "embedding_size": axis(0, "conv_in.weight"),
    "cross_attention_dim": axis(1, "attn2.to_k.weight"),
    "num_down_blocks": layers("down_blocks.N.resnets.N.conv1.weight"),
}
_LDM_UNET = {
    "in_channels": axis(1, "diffusion_model.input_blocks.N.N.weight"),
    "embedding_size": axis(0, "diffusion_model.input_blocks.N.N.weight"),
    "cross_attention_dim": axis(1, "attn2.to_k.weight"),
}
_HEADS = ("num_attention_heads",)


class StableDiffusionFamily(NamedFamily):
    """Latent diffusion models, whole or one part of them."""

    name = "stable-diffusion"
    model_types = frozenset(("unet", "vae"))
    labels = MappingProxyType(
        {
            "stablediffusionpipeline": "stable-diffusion",
            "stablediffusionimg2imgpipeline": "stable-diffusion",
            "stablediffusioninpaintpipeline": "stable-diffusion",
            "stablediffusionxlpipeline": "stable-diffusion",
            "unet2dconditionmodel": "unet",
            "autoencoderkl": "vae",
        }
    )
    # `unets/unet_2d_condition.py`, `autoencoders/vae.py`, `resnet.py`, `attention.py` of diffusers:
    # up before mid, attentions before the resnets they follow.
    orders = (
        (
            *("encoder", "decoder", "quant_conv", "post_quant_conv", "conv_in", "time_embedding"),
            *("encoder_hid_proj", "class_embedding", "add_embedding", "down_blocks", "up_blocks"),
            *("mid_block", "attentions", "resnets", "downsamplers", "upsamplers"),
            *("conv_norm_out", "conv_out", "norm", "group_norm", "proj_in", "transformer_blocks"),
            *("proj_out", "norm1", "attn1", "conv1", "time_emb_proj", "norm2", "attn2", "conv2"),
            *("norm3", "ff", "conv_shortcut", "to_q", "to_k", "to_v", "to_out", "linear_1"),
            *("cond_proj", "linear_2", "net", "proj", "conv", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(
                "diffusion_model.input_blocks.N.N.weight",
                "first_stage_model.decoder.conv_in.weight",
            ),
            facts=_LDM_UNET,
            unknown=_HEADS,
        ),
        Naming(
            needs=("diffusion_model.input_blocks.N.N.weight", "diffusion_model.out.N.weight"),
            facts=_LDM_UNET,
            unknown=_HEADS,
            label="unet",
        ),
        Naming(
            needs=(
                *("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight"),
                *("down_blocks.N.resnets.N.conv1.weight", "up_blocks.N.resnets.N.conv1.weight"),
            ),
            facts=_UNET,
            unknown=_HEADS,
            label="unet",
        ),
        Naming(
            needs=(
                *("encoder.conv_in.weight", "encoder.down_blocks.N.resnets.N.conv1.weight"),
                *("decoder.up_blocks.N.resnets.N.conv1.weight", "post_quant_conv.weight"),
            ),
            lacks=("quantize.embedding.weight",),
            facts={
                "in_channels": axis(1, "encoder.conv_in.weight"),
                "latent_channels": axis(1, "decoder.conv_in.weight"),
                "embedding_size": axis(0, "encoder.conv_in.weight"),
            },
            label="vae",
        ),
        Naming(
            needs=(
                *("encoder.conv_in.weight", "encoder.down.N.block.N.conv1.weight"),
                *("decoder.up.N.block.N.conv1.weight", "post_quant_conv.weight"),
            ),
            lacks=("quantize.embedding.weight",),
            facts={
                "in_channels": axis(1, "encoder.conv_in.weight"),
                "latent_channels": axis(1, "decoder.conv_in.weight"),
                "embedding_size": axis(0, "encoder.conv_in.weight"),
            },
            label="vae",
        ),
    )
