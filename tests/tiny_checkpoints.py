"""A box of five tiny checkpoints with random weights, laid out as the bundled one.

`python tests/tiny_checkpoints.py FOLDER` writes it; `NYSTROM_DEMO_CHECKPOINTS=FOLDER python app.py` runs the app on it.
What its heads say means nothing; the shapes, files and labels are those of the real box.
"""

import hashlib
import json
import string
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertTokenizer

from nystrom_demo import (
    NystromformerConfig,
    NystromformerForMaskedLM,
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
    NystromformerForTokenClassification,
)

TRUNK = "nystromformer."
WORDS = """
the a an of and to in is was it he she they that this for on with as at by not but from his her its are were be
film great bad good paris france capital city river world small cat dog sat mat ran saw what where who when why
john mary smith went london new york un ##ing ##ed ##s ##er ##est ##ly ##ment ##ness ##able happy play work
walk talk bank water fire earth read book house home day night year time long short big old young
"""
HEADS = {
    "masked-lm": (NystromformerForMaskedLM, None),
    "sequence-classification": (NystromformerForSequenceClassification, ("negative", "positive")),
    "token-classification": (
        NystromformerForTokenClassification,
        ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    ),
    "question-answering": (NystromformerForQuestionAnswering, None),
    "multiple-choice": (NystromformerForMultipleChoice, None),
}


def make_tiny_box(
    folder: str | Path, *, max_position_embeddings: int = 4096, seed: int = 0, tokens: Sequence[str] = ()
) -> Path:
    """Write the box into `folder` and return its path: an encoder stored once, five heads, tokenizers and checksums.

    tokens: texts that the tokenizer has whole, whatever they are.
    """
    folder = Path(folder)
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(max_position_embeddings)
    tokenizer.add_tokens(list(tokens))
    encoder: dict[str, torch.Tensor] = {}
    for task, (head_class, labels) in HEADS.items():
        model = head_class(make_config(len(tokenizer), max_position_embeddings, labels))
        if encoder:
            model.load_state_dict(encoder, strict=False)
            model.tie_weights()
        else:
            _stir(model)
            encoder = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(TRUNK)}
        _save_head(folder / task, model, encoder)
        tokenizer.save_pretrained(folder / task)
    (folder / "encoders").mkdir(exist_ok=True)
    save_file(_half(encoder), folder / "encoders" / "tables.safetensors", metadata={"format": "pt"})
    write_checksums(folder)
    return folder


def make_tokenizer(model_max_length: int = 4096) -> BertTokenizer:
    """A lower-casing word-piece tokenizer of about 250 pieces that can spell any ASCII word."""
    letters = string.ascii_lowercase + string.digits
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *letters]
    pieces += ["##" + letter for letter in letters] + WORDS.split()
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]  # AutoTokenizer's own list leaves the second out
    return BertTokenizer(vocab=vocabulary, model_max_length=model_max_length, model_input_names=inputs)


def make_config(vocab_size: int, max_position_embeddings: int, labels: tuple[str, ...] | None) -> NystromformerConfig:
    names = {}
    if labels is not None:
        names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    return NystromformerConfig(
        vocab_size=vocab_size,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        hidden_act="gelu",
        max_position_embeddings=max_position_embeddings,
        num_landmarks=16,
        conv_kernel_size=5,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        **names,
    )


def write_checksums(folder: Path) -> None:
    """SHA256SUMS.json: the SHA-256 of every other file of the box, by its path in the box."""
    sums = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS.json"
    }
    (folder / "SHA256SUMS.json").write_text(json.dumps(sums, indent=2) + "\n")


def _stir(model: torch.nn.Module) -> None:
    """Move every weight that starts at zero or one, so that no part of the model is without effect."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1 or parameter.ndim == 4:
                parameter.add_(0.1 * torch.randn_like(parameter))


def _save_head(folder: Path, model: torch.nn.Module, encoder: dict[str, torch.Tensor]) -> None:
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    head = {name: tensor for name, tensor in model.state_dict().items() if name not in encoder and name not in tied}
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    save_file(_half(head), folder / "head.safetensors", metadata={"format": "pt"})
    weight_map = dict.fromkeys(head, "head.safetensors") | dict.fromkeys(encoder, "../encoders/tables.safetensors")
    total_size = 2 * sum(tensor.numel() for tensor in [*head.values(), *encoder.values()])
    index = {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _half(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}


if __name__ == "__main__":
    print(make_tiny_box(sys.argv[1]))
