"""Tiny bases as they lie in a folder, with all that stock loaders want."""

import json
from pathlib import Path
from typing import Any

import torch

WORDS = (
    *("good", "great", "fine", "lovely", "bad", "poor", "awful", "sad"),
    *("the", "film", "was", "and", "a", "book", "very", "not", "it", "we"),
)


def tokenizer() -> Any:
    """Each word is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    numbers = {word: number for number, word in enumerate((*special, *WORDS))}
    made = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        eos_token="[SEP]",
    )


def bert(folder: Path, width: int = 16) -> Path:
    """A masked language model, as encoders are published, under a licence."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=32,
    )
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    (folder / "NOTICE").write_text("Tiny, by nobody\n")
    return folder


def gpt2(folder: Path) -> Path:
    """A causal language model whose head shares the embeddings."""
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS) + 5, n_embd=16, n_layer=2, n_head=2, n_positions=32, eos_token_id=3
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def t5(folder: Path) -> Path:
    """A model from texts to texts."""
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(WORDS) + 5,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        eos_token_id=3,
    )
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def resnet(folder: Path) -> Path:
    """A network of convolutions with batch normalisation."""
    import transformers

    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
    )
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    _pixels("ConvNextImageProcessor", size={"shortest_edge": 16}, crop_pct=1.0).save_pretrained(
        folder
    )
    return folder


def yolos(folder: Path) -> Path:
    """A detector of few things in small pictures."""
    import transformers

    torch.manual_seed(0)
    config = transformers.YolosConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[16, 16],
        patch_size=8,
        num_detection_tokens=3,
        num_labels=2,
    )
    transformers.YolosForObjectDetection(config).save_pretrained(folder)
    _pixels("YolosImageProcessor", size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def _pixels(name: str, **settings: Any) -> Any:
    """A processor of pictures, without torchvision."""
    import transformers

    return getattr(transformers, f"{name}Pil")(**settings)


LETTERS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "E", "O", "N", "Y", "S")


def wav2vec2(folder: Path) -> Path:
    """A speller of letters in upper case."""
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(LETTERS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        feat_extract_norm="layer",  # channels against each other: tones are told apart soon
        conv_dim=[16, 16],
        conv_kernel=[10, 8],
        conv_stride=[10, 8],
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        mask_time_prob=0.05,
        mask_time_length=2,
        pad_token_id=0,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({one: n for n, one in enumerate(LETTERS)}))
    transformers.Wav2Vec2Processor(
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, return_attention_mask=True),
        transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")),
    ).save_pretrained(folder)
    return folder


def whisper(folder: Path) -> Path:
    """A writer of words, with the special tokens that its library looks for."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    torch.manual_seed(0)
    special = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>")
    special = (*special, "<|translate|>", "<|notimestamps|>")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {one: n for n, one in enumerate(("<|unk|>", *alphabet, *special))}
    made = Tokenizer(models.BPE(vocab=numbers, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(special))
    tokens = transformers.WhisperTokenizer(
        tokenizer_object=made,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    end, start = (tokens.convert_tokens_to_ids(one) for one in special[:2])
    config = transformers.WhisperConfig(
        vocab_size=len(tokens),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=50,
        max_target_positions=32,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        begin_suppress_tokens=None,
        suppress_tokens=None,
    )
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=start, eos_token_id=end, pad_token_id=end, bos_token_id=end
    )
    model.save_pretrained(folder)
    transformers.WhisperProcessor(
        transformers.WhisperFeatureExtractor(
            feature_size=8, sampling_rate=8000, hop_length=80, chunk_length=1, n_fft=200
        ),
        tokens,
    ).save_pretrained(folder)
    return folder


def stable_diffusion(folder: Path) -> Path:
    """A pipeline from texts to pictures of 16 pixels."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    special = ("<|startoftext|>", "<|endoftext|>")
    letters = [f"{letter}{end}" for end in ("", "</w>") for letter in "abcdefghijklmnopqrstuvwxyz"]
    numbers = {one: n for n, one in enumerate((*letters, *special))}
    tokens = transformers.CLIPTokenizer(
        vocab=numbers, merges=[], model_max_length=16, unk_token="<|endoftext|>"
    )
    texts = transformers.CLIPTextConfig(
        vocab_size=len(numbers),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        eos_token_id=len(numbers) - 1,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
    )
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(texts),
        tokenizer=tokens,
        unet=unet,
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder
