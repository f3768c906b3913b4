"""BERT and the encoders that kept its names: RoBERTa, XLM-R, MiniLM, DistilBERT.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/bert/modeling_bert.py
and `models/distilbert`; GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from cairn.formats.family import NamedFamily, Naming, axis, layers

_UNKNOWN = ("num_attention_heads", "hidden_act")
_LAYER = "encoder.layer.N"
_FACTS = {
    "num_hidden_layers": layers(f"{_LAYER}.attention.self.query.weight"),
    # ELECTRA's embeddings are narrower than its layers.
    "hidden_size": axis(1, f"{_LAYER}.attention.self.query.weight"),
    "embedding_size": axis(1, "embeddings_project.weight"),
    "intermediate_size": axis(0, f"{_LAYER}.intermediate.dense.weight"),
    "vocab_size": axis(0, "embeddings.word_embeddings.weight"),
    "max_position_embeddings": axis(0, "embeddings.position_embeddings.weight"),
    "type_vocab_size": axis(0, "embeddings.token_type_embeddings.weight"),
    "num_labels": axis(0, "classifier.weight", "classifier.out_proj.weight"),
}
_NEEDS = (
    f"{_LAYER}.attention.self.query.weight",
    f"{_LAYER}.intermediate.dense.weight",
    "embeddings.word_embeddings.weight",
    "embeddings.token_type_embeddings.weight",
)
_HEADS = (
    *("bert", "roberta", "distilbert", "electra", "embeddings", "embeddings_project", "encoder"),
    *("transformer", "pooler", "cls", "lm_head", "pre_classifier", "classifier", "qa_outputs"),
    *("vocab_transform", "vocab_layer_norm", "vocab_projector"),
)
_WORDS = ("word_embeddings",)
_LAYERS = (
    *("layer", "attention", "sa_layer_norm", "ffn", "output_layer_norm", "intermediate", "self"),
    *("output", "query", "key", "value", "q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
    *("predictions", "seq_relationship", "weight", "bias", "transform", "dense", "LayerNorm"),
    *("layer_norm", "out_proj", "decoder"),
)


class BertFamily(NamedFamily):
    """Post-norm encoders in the naming of Hugging Face's BERT, and GGUF's."""

    name = "bert"
    model_types = frozenset(
        ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "ernie")
    )
    orders = (
        (*_HEADS, *_WORDS, "position_embeddings", "token_type_embeddings", *_LAYERS),
        # RoBERTa makes its positions last.
        (*_HEADS, *_WORDS, "token_type_embeddings", *_LAYERS, "position_embeddings"),
    )
    namings = (
        Naming(
            needs=(f"roberta.{_NEEDS[0]}", *_NEEDS[1:]),
            facts=_FACTS,
            unknown=_UNKNOWN,
            label="roberta",
        ),
        Naming(needs=_NEEDS, facts=_FACTS, unknown=_UNKNOWN),
        Naming(
            needs=(
                "transformer.layer.N.attention.q_lin.weight",
                "transformer.layer.N.ffn.lin1.weight",
            ),
            facts={
                "num_hidden_layers": layers("transformer.layer.N.attention.q_lin.weight"),
                "hidden_size": axis(1, "transformer.layer.N.attention.q_lin.weight"),
                "intermediate_size": axis(0, "transformer.layer.N.ffn.lin1.weight"),
                "vocab_size": axis(0, "embeddings.word_embeddings.weight"),
                "max_position_embeddings": axis(0, "embeddings.position_embeddings.weight"),
                "num_labels": axis(0, "classifier.weight"),
            },
            unknown=_UNKNOWN,
            label="distilbert",
        ),
        Naming(
            needs=("blk.N.attn_q.weight", "blk.N.layer_output_norm.weight", "token_types.weight"),
            facts={
                "num_hidden_layers": layers("blk.N.attn_q.weight"),
                "hidden_size": axis(1, "token_embd.weight"),
                "intermediate_size": axis(0, "blk.N.ffn_up.weight"),
                "vocab_size": axis(0, "token_embd.weight"),
                "max_position_embeddings": axis(0, "position_embd.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
