"""A BERT-shaped encoder in, the same encoder as a Nyströmformer out, with new heads beside it."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from nystrom_demo.config import NystromformerConfig
from nystrom_demo.model import POSITION_OFFSET, NystromformerModel
from nystrom_demo.training.recipe import ModelShape


def convert(bert: BertModel, shape: ModelShape) -> NystromformerModel:
    """The encoder of `bert`, weight for weight; under exact attention it gives the same hidden states.

    The position table is repeated until it has `max_position_embeddings` rows, two rows on, behind the two that no
    text uses. The convolution starts at zero, which adds nothing. The pooler has no place here and is left out.
    """
    model = NystromformerModel(converted_config(bert.config, shape))
    state = {name: weight for name, weight in bert.state_dict().items() if not name.startswith("pooler.")}
    state.pop("embeddings.position_ids", None)
    positions = state["embeddings.position_embeddings.weight"]
    state["embeddings.position_embeddings.weight"] = tile_positions(positions, shape.max_position_embeddings)
    for name, weight in model.state_dict().items():
        if name.endswith("attention.self.conv.weight"):
            state[name] = torch.zeros_like(weight)
    model.load_state_dict(state)
    return model


def converted_config(bert: BertConfig, shape: ModelShape) -> NystromformerConfig:
    """A configuration of the base's shape. No dropout: it keeps a CPU from its fused attention, at half the speed."""
    kept = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act type_vocab_size "
        "initializer_range layer_norm_eps pad_token_id"
    )
    return NystromformerConfig(
        **{name: getattr(bert, name) for name in kept.split()},
        max_position_embeddings=shape.max_position_embeddings,
        conv_kernel_size=shape.conv_kernel_size,
        num_landmarks=shape.num_landmarks,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def tile_positions(table: torch.Tensor, positions: int) -> torch.Tensor:
    """(rows, hidden_size) repeated to (positions + 2, hidden_size), the first two rows zero."""
    repeats = -(-positions // table.shape[0])
    unused = table.new_zeros(POSITION_OFFSET, table.shape[1])
    return torch.cat([unused, table.repeat(repeats, 1)[:positions]])


def convert_folder(base: Path, out: Path, shape: ModelShape) -> tuple[NystromformerModel, PreTrainedTokenizerFast]:
    """Convert the base in a folder and save model and tokenizer to `out`. ValueError if the base is no BERT."""
    bert = AutoModel.from_pretrained(base, use_safetensors=True)
    if not isinstance(bert, BertModel):
        raise ValueError(f"The base must be a BERT encoder, {base} holds a {type(bert).__name__}.")
    tokenizer = plain_tokenizer(AutoTokenizer.from_pretrained(base), shape.max_position_embeddings)
    model = convert(bert, shape)
    model.config.bos_token_id = model.config.cls_token_id = tokenizer.cls_token_id
    model.config.eos_token_id = model.config.sep_token_id = tokenizer.sep_token_id
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return model, tokenizer


def plain_tokenizer(tokenizer: PreTrainedTokenizerFast, max_length: int) -> PreTrainedTokenizerFast:
    """The same tokenizer without its class and habits: no truncation or padding of its own, token types always given.

    A Nyströmformer has no tokenizer class, so that a class's own defaults would be lost on the way through a folder.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{name: getattr(tokenizer, name) for name in names},
    )
