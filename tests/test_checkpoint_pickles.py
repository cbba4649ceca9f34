"""Weights that are only there as pytorch_model.bin: read as tensors alone, vetted as safetensors are, or refused."""

import pickle
import re

import pytest
import torch

from nystrom_demo.checkpoints import CheckpointError, Library, load_checkpoint

NO_TENSORS = "not read unless they are tensors alone, which pytorch_model.bin is not."


@pytest.fixture
def old(tiny_checkpoints, tmp_path):
    """A checkpoint as older ones are published."""
    checkpoint = tiny_checkpoints["masked-lm"]
    checkpoint.model.save_pretrained(tmp_path / "old")
    checkpoint.tokenizer.save_pretrained(tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save(checkpoint.model.state_dict(), tmp_path / "old" / "pytorch_model.bin")
    return tmp_path / "old"


def change(folder, edit) -> None:
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    edit(state)
    torch.save(state, folder / "pytorch_model.bin")


def test_its_weights_are_those_that_were_saved(old, tiny_checkpoints):
    loaded = load_checkpoint(old, "masked-lm", device="cpu")
    assert (loaded.name, loaded.source, loaded.new_head) == ("old", str(old), False)
    expected = tiny_checkpoints["masked-lm"].model.state_dict()
    torch.testing.assert_close(loaded.model.state_dict(), expected)
    assert sorted(path.name for path in old.iterdir() if path.suffix in (".bin", ".safetensors")) == [
        "pytorch_model.bin"
    ]


def test_a_server_reads_none_unless_it_is_told_to(old, tiny_checkpoints):
    said = r"^The checkpoint has no model\.safetensors"
    with pytest.raises(CheckpointError, match=said):
        Library(tiny_checkpoints.boxes, root=old.parent).load("old", "masked-lm")
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(old, "masked-lm", device="cpu", pickles=False)
    told = Library(tiny_checkpoints.boxes, root=old.parent, pickles=True).load("old", "masked-lm")
    assert (told.name, told.source) == ("old", "./old")


class Command:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Command(), NO_TENSORS),
        ({"weight": Command()}, NO_TENSORS),
        ({"weight": 3.0}, NO_TENSORS),
        ({1: torch.zeros(1)}, NO_TENSORS),
        ([torch.zeros(1)], NO_TENSORS),
        ({"weight": torch.zeros(1).expand(2**40)}, "may hold tensors of 8,589,934,592 bytes, got 4,398,046,511,104"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(content, said, old):
    torch.save(content, old / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=re.escape(said)):
        load_checkpoint(old, "masked-lm", device="cpu")


def test_a_plain_pickle_and_half_a_file_are_refused(old):
    whole = (old / "pytorch_model.bin").read_bytes()
    for data in (pickle.dumps(Command()), whole[: len(whole) // 2], b""):
        (old / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(CheckpointError, match=NO_TENSORS):
            load_checkpoint(old, "masked-lm", device="cpu")


def test_the_weights_are_vetted_as_all_others_are(old):
    name = "nystromformer.embeddings.LayerNorm.weight"
    change(old, lambda state: state.update({name: torch.full_like(state[name], torch.nan)}))
    with pytest.raises(CheckpointError, match="not finite"):
        load_checkpoint(old, "masked-lm", device="cpu")
    change(old, lambda state: state.update({name: torch.ones(3)}))
    with pytest.raises(CheckpointError, match=r"LayerNorm\.weight must have the shape .* got \(3,\)"):
        load_checkpoint(old, "masked-lm", device="cpu")
    change(old, lambda state: state.pop(name))
    with pytest.raises(CheckpointError, match="lacks 1 weights of the encoder"):
        load_checkpoint(old, "masked-lm", device="cpu")
