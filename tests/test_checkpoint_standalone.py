"""A bundled checkpoint's folder alone: what is missing is said, and a folder with all of it can be written."""

import shutil

import pytest
import torch
from transformers import AutoModelForMaskedLM, pipeline

from nystrom_demo import NystromformerForMaskedLM
from nystrom_demo.checkpoints import CheckpointError, bundled_box, export_checkpoint, load_checkpoint
from nystrom_demo.checkpoints.bundled import BOX_VARIABLE


@pytest.fixture
def box(monkeypatch, tmp_path):
    """The bundled box's layout: a head whose encoder lies beside its folder."""
    monkeypatch.delenv(BOX_VARIABLE, raising=False)
    return bundled_box()


def test_a_folder_copied_alone_says_what_it_lacks_and_how_to_have_it(box, tmp_path):
    shutil.copytree(box / "masked-lm", tmp_path / "mine")
    said = r"but one is \.\./encoders/.* was not copied with mine; .*\.export_checkpoint\(task, folder\) writes"
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(tmp_path / "mine", "masked-lm")
    for model_class in (NystromformerForMaskedLM, AutoModelForMaskedLM):
        with pytest.raises(OSError, match=said):
            model_class.from_pretrained(tmp_path / "mine")
        with pytest.raises(OSError, match=said):
            model_class.from_pretrained(tmp_path, subfolder="mine")


def test_an_exported_folder_holds_all_of_its_own(box, tmp_path):
    folder = export_checkpoint("masked-lm", tmp_path / "whole")
    moved = folder.rename(tmp_path / "moved")
    bundled = load_checkpoint("masked-lm", "masked-lm", device="cpu")
    ids = bundled.tokenizer("Paris is the [MASK] of France.", return_tensors="pt")
    with torch.no_grad():
        expected = bundled.model(**ids).logits
        torch.testing.assert_close(load_checkpoint(moved, "masked-lm", device="cpu").model(**ids).logits, expected)
        torch.testing.assert_close(AutoModelForMaskedLM.from_pretrained(moved)(**ids).logits, expected)
    assert pipeline("fill-mask", str(moved), device="cpu")("Paris is the [MASK] of France.")[0]["token_str"]
    with pytest.raises(FileExistsError, match="The folder moved is not empty"):
        export_checkpoint("masked-lm", moved)
    with pytest.raises(ValueError, match="task must be one of"):
        export_checkpoint("summaries", tmp_path / "none")
