"""What scripts have in common: a checkpoint loaded, a text or one head of it read, a figure said."""

from typing import NamedTuple

from nystrom_demo.checkpoints import BUNDLED, Checkpoint
from nystrom_demo.config import AttentionSettings

# Every script that draws ends so. What it prints are the page's CSV and its sentence.
SAY_FIGURE = """\
print(figures.csv_of(figure))
print(figures.summary_of(figure))  # in a notebook, `figure` alone draws it
"""
_TEXT = """\
text = {text!r}
settings = {settings!r}

checkpoint = {loader}
ids = checkpoint.tokenizer(text, return_tensors="pt")["input_ids"].to(checkpoint.device)
"""
_HEAD = """\
layer, head = {layer}, {head}  # counted from 0, where the page counts from 1
inputs = collect_layers(checkpoint.model, ids, layers=[layer])[0]  # q, k and v in an exact pass
"""


class HeadView(NamedTuple):
    """One head on one text, as a tab looks at it; layer and head count from 0."""

    checkpoint: Checkpoint
    text: str
    layer: int
    head: int
    settings: AttentionSettings


def reading_text(view: HeadView) -> str:
    """The lines that give `text`, `settings`, `checkpoint`, `ids`; they want AttentionSettings and load_checkpoint."""
    return _TEXT.format(text=view.text, settings=view.settings, loader=loading(view.checkpoint))


def reading_head(view: HeadView) -> str:
    """The same, and `layer`, `head` and that layer's `inputs`; they want collect_layers too."""
    return reading_text(view) + _HEAD.format(layer=view.layer, head=view.head)


def loading(checkpoint: Checkpoint) -> str:
    """The call that brings this checkpoint, from the bundled box or from where it came, to the same device.

    It ends its line: where a server keeps its folders is not said to visitors, so theirs are looked for beside the
    script, and a remark says so.
    """
    source = checkpoint.name if checkpoint.source == BUNDLED else checkpoint.source
    remark = "  # ./ is a placeholder: write where you keep this folder" if source.startswith("./") else ""
    return f"load_checkpoint({source!r}, {checkpoint.task!r}, device={checkpoint.device.type!r}){remark}"
