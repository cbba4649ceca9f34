"""Checkpoints from elsewhere: what is malformed or malicious is refused, in one sentence, quickly, before it is built.

Each case takes a good checkpoint folder and spoils one thing.
"""

import shutil
import time
from pathlib import Path

import pytest
import torch
from spoiled_checkpoints import CASES
from spoilers import config, edit, shards, tokenizer, write

from nystrom_demo.checkpoints import CheckpointError, load_checkpoint


@pytest.fixture(scope="module")
def good(tiny_checkpoints, tmp_path_factory) -> Path:
    """A folder with one weights file, as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp("good") / "checkpoint"
    checkpoint = tiny_checkpoints["masked-lm"]
    checkpoint.model.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    return folder


def peak_growth(call) -> int | None:
    """Bytes by which this process's resident memory rose above its start while `call` ran; None where unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak restarts from here
    except OSError:
        call()
        return None
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_sentence_quickly_and_without_running_anything(name, good, tmp_path):
    spoil, message = CASES[name]
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    spoil(folder)

    def load() -> None:
        with pytest.raises(CheckpointError, match=message) as refusal:
            load_checkpoint(folder, "masked-lm", device="cpu")
        text = str(refusal.value)
        assert text.endswith(".") and "\n" not in text and len(text) < 400
        assert str(tmp_path) not in text and "Traceback" not in text

    started = time.thread_time()  # this thread's own work, however busy the machine is
    growth = peak_growth(load)
    assert time.thread_time() - started < 2
    assert growth is None or growth < 100e6
    assert not (tmp_path / "canary").exists()


def test_there_are_sixty_and_more():
    assert len(CASES) > 100


def test_the_unspoiled_checkpoint_is_accepted(good, tiny_checkpoints):
    checkpoint = load_checkpoint(good, "masked-lm", device="cpu")
    assert (checkpoint.name, checkpoint.source, checkpoint.new_head) == ("checkpoint", str(good), False)
    for name, parameter in tiny_checkpoints["masked-lm"].model.named_parameters():
        assert torch.equal(checkpoint.model.get_parameter(name), parameter)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(shards(), id="two weights files"),
        pytest.param(write("own.py", "raise SystemExit"), id="code that nothing asks for"),
        pytest.param(write("pytorch_model.bin", b"\x80\x04N."), id="a pickle beside the weights"),
        pytest.param(tokenizer(padding={"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_id": 0,
                                        "pad_type_id": 0, "pad_token": "[PAD]", "pad_to_multiple_of": None}),
                     id="padding to a billion"),
        pytest.param(edit("tokenizer_config.json", lambda table: table.update(vocab_file="/etc/passwd")), id="a path"),
        pytest.param(edit("tokenizer_config.json", lambda table: table.update(tokenizer_class="Own")), id="a class"),
        pytest.param(config(attn_implementation="owner/kernel", _attn_implementation="owner/kernel"), id="a kernel"),
        pytest.param(config(output_attentions=True, output_hidden_states=True, return_dict=False), id="other outputs"),
    ],
)  # fmt: skip
def test_what_is_never_read_does_no_harm(harmless, good, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    harmless(folder)
    checkpoint = load_checkpoint(folder, "masked-lm", device="cpu")
    ids = torch.tensor([checkpoint.tokenizer("the cat sat")["input_ids"]])
    assert ids.shape == (1, 5)
    assert checkpoint.model(ids).logits.shape == (1, 5, 198)
    assert checkpoint.model.config._attn_implementation == "nystrom"
