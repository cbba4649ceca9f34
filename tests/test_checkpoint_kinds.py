"""Well-known encoders of other kinds, as made-up copies of how they are published: each loads and fills a mask."""

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from nystrom_demo import AttentionSettings
from nystrom_demo.analysis import collect_layers
from nystrom_demo.checkpoints import CheckpointError, load_checkpoint
from nystrom_demo.limits.estimates import encoder_bytes, layers_bytes
from nystrom_demo.tasks import fill_mask

TEXTS = ["the cat sat on the mat", "Paris is the capital of France", "a slow film with a fine ending"] * 3
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def word_pieces() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return trained(tokenizer, trainers.WordPieceTrainer(vocab_size=200, special_tokens=list(BERT)), BERT)


def byte_pairs(special=ROBERTA) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=350, special_tokens=list(special), initial_alphabet=alphabet)
    return trained(tokenizer, trainer, special)


def sentence_pieces(special=ROBERTA) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=list(special), unk_token=special[1])
    return trained(tokenizer, trainer, special)


def trained(tokenizer: Tokenizer, trainer, special: tuple[str, ...]) -> Tokenizer:
    tokenizer.train_from_iterator(TEXTS, trainer)
    first, last = special[2], special[3]
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    pair = f"{first} $A {last} {last} $B {last}" if special is ROBERTA else f"{first} $A {last} $B:1 {last}:1"
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", pair=pair, special_tokens=ids)
    return tokenizer


ALBERT = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
KINDS = {
    "bert": (transformers.BertConfig, {}, word_pieces, BERT),
    "electra": (transformers.ElectraConfig, {"embedding_size": 8}, word_pieces, BERT),
    "distilbert": (
        transformers.DistilBertConfig,
        {"dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 20},
        word_pieces,
        BERT,
    ),
    "roberta": (transformers.RobertaConfig, {"type_vocab_size": 1}, byte_pairs, ROBERTA),
    "xlm-roberta": (transformers.XLMRobertaConfig, {"type_vocab_size": 1}, sentence_pieces, ROBERTA),
    "camembert": (transformers.CamembertConfig, {"type_vocab_size": 1}, sentence_pieces, ROBERTA),
    "albert": (transformers.AlbertConfig, {"embedding_size": 8}, lambda: sentence_pieces(ALBERT), ALBERT),
    "modernbert": (
        transformers.ModernBertConfig,
        {"local_attention": 8, "layer_types": ["full_attention", "sliding_attention"]},
        lambda: byte_pairs(BERT),
        BERT,
    ),
    "nystromformer": (transformers.NystromformerConfig, {"num_landmarks": 4}, lambda: sentence_pieces(ALBERT), ALBERT),
}


def publish(kind: str, folder) -> None:
    """Write the kind's files: config.json, tokenizer.json, tokenizer_config.json, model.safetensors."""
    config_class, more, make, special = KINDS[kind]
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make(), **roles)
    sizes = {} if kind == "distilbert" else SMALL
    ends = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": 2, "eos_token_id": 3}
    if kind == "modernbert":
        ends |= {"cls_token_id": 2, "sep_token_id": 3}
    config = config_class(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes | more | ends)
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_and_fills_a_mask_by_landmarks(kind, tmp_path):
    publish(kind, tmp_path)
    checkpoint = load_checkpoint(tmp_path, "masked-lm", device="cpu")
    assert not checkpoint.new_head
    assert checkpoint.model.config._attn_implementation == "nystrom"
    mask = checkpoint.tokenizer.mask_token
    answers = fill_mask(checkpoint, f"the cat {mask} on the mat").masks[0].candidates
    assert all(0 <= candidate.score <= 1 for candidate in answers)
    with torch.no_grad():  # the position table ends where it is said to
        long = torch.full((1, checkpoint.max_tokens), 7)
        assert checkpoint.model(input_ids=long).logits.shape[1] == checkpoint.max_tokens
    assert encoder_bytes(checkpoint.model.config, 1, 32, AttentionSettings(num_landmarks=4)) > 0
    assert layers_bytes(checkpoint.model.config, 32) > 0


def test_a_local_layer_has_nothing_to_approximate(tmp_path):
    publish("modernbert", tmp_path)
    checkpoint = load_checkpoint(tmp_path, "masked-lm", device="cpu")
    ids = checkpoint.tokenizer("the cat sat on the mat", return_tensors="pt").input_ids
    assert [found.layer for found in collect_layers(checkpoint.model, ids)] == [0]
    with pytest.raises(ValueError, match=r"^Layer 1 looks at a window .*; those that look at all of it are 0\.$"):
        collect_layers(checkpoint.model, ids, layers=[1])


def test_a_kind_that_cannot_attend_by_landmarks_is_refused_by_name(tmp_path):
    config = transformers.MPNetConfig(vocab_size=99, max_position_embeddings=64, **SMALL)
    transformers.MPNetForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"^model_type must be one of nystromformer, bert, .*, got 'mpnet'\.$"):
        load_checkpoint(tmp_path, "masked-lm", device="cpu")
