"""Tiny bases as they lie in a folder, with all that stock loaders want."""

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


def bert(folder: Path) -> Path:
    """A masked language model, as encoders are published, under a licence."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
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
