"""The bundled box, folders, and encoders of other kinds, as transformers loads them and as this package does."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers
from tiny_checkpoints import make_tokenizer, write_checksums

import nystrom_demo
from nystrom_demo import AttentionSettings, NystromformerConfig
from nystrom_demo.checkpoints import (
    TASKS,
    CheckpointError,
    bundled_folder,
    load_bundled,
    load_checkpoint,
)
from nystrom_demo.checkpoints.loading import AUTO_CLASSES
from nystrom_demo.config import EXACT
from nystrom_demo.tasks import answer, choose, classify, fill_mask, tag

TEXT = "john smith went to the river of paris"


@pytest.fixture
def box(tiny_box, tmp_path) -> Path:
    """A copy of the tiny box to spoil."""
    return Path(shutil.copytree(tiny_box, tmp_path / "box"))


def test_the_bundled_heads_have_encoders_of_their_own_over_the_same_memory(tiny_box):
    tiny_checkpoints = load_bundled("cpu", box=tiny_box)  # of its own: what others read may have made copies
    assert tuple(tiny_checkpoints) == TASKS
    encoders = [checkpoint.model.nystromformer for checkpoint in tiny_checkpoints.values()]
    assert len({id(encoder) for encoder in encoders}) == len(TASKS)
    for name, parameter in encoders[0].named_parameters():
        # The address in memory is asked for in a way that does not count as a write, which would make a copy.
        assert len({torch._C._data_address(encoder.get_parameter(name)) for encoder in encoders}) == 1, name
        assert torch._C._is_cow_tensor(parameter)
    decoder = tiny_checkpoints["masked-lm"].model.cls.predictions.decoder
    assert decoder.weight is encoders[0].embeddings.word_embeddings.weight


def test_a_bundled_checkpoint_is_what_transformers_loads_from_its_folder(tiny_box, tiny_checkpoints):
    for task, checkpoint in tiny_checkpoints.items():
        loaded = AUTO_CLASSES[task].from_pretrained(tiny_box / task, dtype=torch.float32)
        assert type(loaded) is type(checkpoint.model)
        for name, parameter in loaded.named_parameters():
            assert torch.equal(parameter, checkpoint.model.get_parameter(name))
        tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_box / task)
        assert dict(tokenizer(TEXT, TEXT)) == dict(checkpoint.tokenizer(TEXT, TEXT))
        assert checkpoint.model.config.id2label == loaded.config.id2label


def test_a_checkpoint_tells_its_device_length_size_and_source(tiny_checkpoints):
    checkpoint = tiny_checkpoints["token-classification"]
    assert (checkpoint.name, checkpoint.source) == ("token-classification", "bundled")
    assert (checkpoint.device, checkpoint.max_tokens) == (torch.device("cpu"), 4096)
    assert checkpoint.num_parameters == sum(parameter.numel() for parameter in checkpoint.model.parameters())
    assert not checkpoint.model.training
    assert not checkpoint.new_head
    assert next(checkpoint.model.parameters()).dtype == torch.float32


def test_one_callers_truncation_and_padding_leave_another_callers_text_alone(tiny_checkpoints):
    tokenizer = tiny_checkpoints["masked-lm"].tokenizer
    whole = tokenizer(TEXT)["input_ids"]

    def call(number: int) -> list[int]:
        if number % 2:
            return tokenizer([TEXT, "a"], truncation=True, max_length=5, padding=True)["input_ids"][0]
        return tokenizer(TEXT)["input_ids"]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(call, range(40)))
    assert found == [whole, [*whole[:4], whole[-1]]] * 20
    assert tokenizer.whole_text.encode(TEXT).ids == whole
    assert (tokenizer.backend_tokenizer.truncation, tokenizer.backend_tokenizer.padding) == (None, None)


def test_a_bundled_name_loads_from_the_box_in_the_environment(tiny_box, monkeypatch):
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))
    assert bundled_folder("masked-lm") == tiny_box / "masked-lm"
    for source in ("masked-lm", tiny_box / "masked-lm"):
        checkpoint = load_checkpoint(source, "masked-lm", device="cpu")
        assert (checkpoint.name, checkpoint.source) == ("masked-lm", "bundled")
    with pytest.raises(ValueError, match=r"task must be one of masked-lm, .* got 'parsing'"):
        bundled_folder("parsing")


@pytest.mark.parametrize(
    "file", ["encoders/tables.safetensors", "masked-lm/head.safetensors", "multiple-choice/config.json",
             "question-answering/tokenizer.json", "token-classification/model.safetensors.index.json"]
)  # fmt: skip
def test_a_flipped_bit_in_the_box_is_refused(file, box):
    data = bytearray((box / file).read_bytes())
    data[-5] ^= 1
    (box / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"The bundled file {file} is not the one that SHA256SUMS.json describes"):
        load_bundled("cpu", box=box)


def test_a_box_without_a_whole_manifest_is_refused(box):
    sums = json.loads((box / "SHA256SUMS.json").read_text())
    del sums["encoders/tables.safetensors"]
    (box / "SHA256SUMS.json").write_text(json.dumps(sums))
    with pytest.raises(CheckpointError, match=r"The bundled file encoders/tables\.safetensors is not the one"):
        load_bundled("cpu", box=box)
    (box / "SHA256SUMS.json").unlink()
    with pytest.raises(CheckpointError, match=r"The bundled checkpoints have no SHA256SUMS\.json"):
        load_bundled("cpu", box=box)


def test_a_box_whose_files_lack_a_weight_is_refused(box):
    index = box / "masked-lm" / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    del table["weight_map"]["nystromformer.encoder.layer.1.output.dense.weight"]
    index.write_text(json.dumps(table))
    write_checksums(box)
    with pytest.raises(CheckpointError, match=r"checkpoint masked-lm does not hold the weights that masked-lm needs\."):
        load_bundled("cpu", box=box)


def test_a_file_of_the_box_that_lies_outside_it_is_refused(box):
    outside = shutil.move(box / "encoders", box.parent / "encoders")
    for index in box.glob("*/model.safetensors.index.json"):
        index.write_text(index.read_text().replace("../encoders", "../../encoders"))
    write_checksums(box)
    with pytest.raises(CheckpointError, match=r"The bundled file tables\.safetensors is not the one"):
        load_bundled("cpu", box=box)
    assert outside.exists()


def test_only_the_bundled_box_may_point_beside_itself(box):
    with pytest.raises(CheckpointError, match=r"files lie in its own folder, but one is named '\.\./encoders/tables"):
        load_checkpoint(box / "masked-lm", "masked-lm", device="cpu")


def test_folders_are_looked_for_in_the_root_and_nowhere_else(tiny_checkpoints, tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside):
        tiny_checkpoints["masked-lm"].model.save_pretrained(folder)
        tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(folder)
    (root / "link").symlink_to(outside)
    assert load_checkpoint("a", "masked-lm", device="cpu", root=root).name == "a"
    for source in ("../outside", str(outside), "link", ".", "a/../../outside"):
        with pytest.raises(CheckpointError, match="is not in the folder of checkpoints"):
            load_checkpoint(source, "masked-lm", device="cpu", root=root)
    with pytest.raises(CheckpointError, match="checkpoints from the Hub are not allowed here"):
        load_checkpoint("someone/else", "masked-lm", root=root, hub=False)
    with pytest.raises(CheckpointError, match="A checkpoint is a folder or a Hub id such as owner/name, got 'no such"):
        load_checkpoint("no such folder", "masked-lm")
    with pytest.raises(CheckpointError, match="has no NUL character"):
        load_checkpoint("a\0b", "masked-lm")


def test_a_head_that_the_files_lack_is_announced_as_new(tiny_checkpoints, tmp_path):
    checkpoint = tiny_checkpoints["masked-lm"]
    checkpoint.model.save_pretrained(tmp_path)
    checkpoint.tokenizer.save_pretrained(tmp_path)
    assert load_checkpoint(tmp_path, "sequence-classification", device="cpu").new_head
    checkpoint.model.nystromformer.save_pretrained(tmp_path)  # the encoder alone, its names without a prefix
    assert load_checkpoint(tmp_path, "masked-lm", device="cpu").new_head


def test_a_refused_load_leaves_a_loaded_model_as_it_was(tiny_checkpoints, box):
    before = fill_mask(tiny_checkpoints["masked-lm"], "the [MASK] sat")
    (box / "encoders" / "tables.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError):
        load_bundled("cpu", box=box)
    assert fill_mask(tiny_checkpoints["masked-lm"], "the [MASK] sat") == before


SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "hidden_size": 24}
ENCODERS = {
    "bert": transformers.BertConfig(**SHAPE, max_position_embeddings=64),
    "roberta": transformers.RobertaConfig(**SHAPE, max_position_embeddings=66, type_vocab_size=1),
    "electra": transformers.ElectraConfig(**SHAPE, embedding_size=12, max_position_embeddings=64),
    "distilbert": transformers.DistilBertConfig(
        n_layers=2, n_heads=3, hidden_dim=40, dim=24, max_position_embeddings=64
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_other_encoders_answer_under_any_attention_given_for_the_call(name, tmp_path):
    tokenizer = make_tokenizer(64)
    config = ENCODERS[name]
    config.vocab_size, config.initializer_range = len(tokenizer), 0.4
    torch.manual_seed(0)
    AUTO_CLASSES["masked-lm"].from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    checkpoint = load_checkpoint(tmp_path, "masked-lm", device="cpu")
    assert (checkpoint.max_tokens, checkpoint.new_head) == (64, False)

    text = "john smith went to the [MASK] of paris and saw a cat"
    reference = AUTO_CLASSES["masked-lm"].from_pretrained(tmp_path, attn_implementation="sdpa").eval()
    inputs = checkpoint.tokenizer(text, return_tensors="pt")
    expected = reference(**inputs).logits[0, 6].softmax(-1).max().item()
    exact = fill_mask(checkpoint, text, EXACT).masks[0].candidates[0]
    assert exact.score == pytest.approx(expected, rel=1e-4)
    everywhere = fill_mask(checkpoint, text, AttentionSettings(num_landmarks=14)).masks[0].candidates[0]
    assert everywhere.score == pytest.approx(expected, rel=1e-4)
    few = fill_mask(checkpoint, text, AttentionSettings(num_landmarks=2)).masks[0]
    assert few.candidates[0].score != pytest.approx(expected, rel=1e-3)

    for task, ask in {
        "sequence-classification": lambda c: classify(c, TEXT * 20).num_windows,
        "token-classification": lambda c: len(tag(c, TEXT).words),
        "question-answering": lambda c: len(answer(c, "who went", TEXT, top_k=1).answers),
        "multiple-choice": lambda c: len(choose(c, "who", ["john", "paris", "a cat"]).scores),
    }.items():
        head = load_checkpoint(tmp_path, task, device="cpu")
        assert head.new_head
        assert ask(head) > 0


def test_published_checkpoints_with_an_albert_tokenizer_are_tokenised_as_they_were_trained(tmp_path):
    words = [("▁" + word, -3.0) for word in TEXT.split()] + [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    special = [(token, 0.0) for token in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")]
    albert = transformers.AlbertTokenizer(vocab=[*special, ("▁", -2.0), *words])
    albert.save_pretrained(tmp_path)
    nystrom_demo.NystromformerForMaskedLM(
        NystromformerConfig(
            vocab_size=len(albert), **SHAPE, conv_kernel_size=5, max_position_embeddings=32, pad_token_id=0
        )
    ).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "AlbertTokenizer"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    checkpoint = load_checkpoint(tmp_path, "masked-lm", device="cpu")
    text = "John  went to [MASK], Paris."
    assert tokenizer(text)["input_ids"] == checkpoint.tokenizer(text)["input_ids"] == albert(text)["input_ids"]
    mask = fill_mask(checkpoint, text).masks[0]
    assert text[mask.start : mask.end] == "[MASK]"


def test_pipelines_run_on_the_box_and_say_what_the_heads_say(tiny_box, tiny_checkpoints):
    def pipeline(task, folder):
        return transformers.pipeline(task, model=str(tiny_box / folder), dtype=torch.float32, device="cpu")

    near = pytest.approx
    landmarks = AttentionSettings.from_config(tiny_checkpoints["masked-lm"].model.config)
    (fill, *_), text = pipeline("fill-mask", "masked-lm")("the [MASK] sat"), "the [MASK] sat"
    ours = fill_mask(tiny_checkpoints["masked-lm"], text, landmarks).masks[0].candidates[0]
    assert (fill["token"], fill["score"]) == (ours.token_id, near(ours.score, rel=1e-4))

    (label,) = pipeline("text-classification", "sequence-classification")(TEXT)
    ours = classify(tiny_checkpoints["sequence-classification"], TEXT, landmarks)
    assert (label["label"], label["score"]) == (ours.label, near(ours.probabilities[ours.label], rel=1e-4))

    found = pipeline("token-classification", "token-classification")(TEXT)
    words = tag(tiny_checkpoints["token-classification"], TEXT, landmarks).words
    scores = {(piece["start"], piece["entity"]): piece["score"] for piece in found}
    assert all(scores[word.start, word.label] == near(word.score, rel=1e-4) for word in words if word.label != "O")

    features = pipeline("feature-extraction", "masked-lm")(TEXT)
    assert len(features[0]) == len(TEXT.split()) + 2
    with pytest.raises(KeyError, match="question-answering"):  # gone from transformers 5, with multiple choice
        pipeline("question-answering", "question-answering")
