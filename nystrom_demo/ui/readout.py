"""What the sidebar says of its text and its checkpoint."""

import html
from typing import NamedTuple

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.formatting import number
from nystrom_demo.tasks import TASKS


class TextSize(NamedTuple):
    """Tokens of the sidebar's text, special ones included, and the most that the chosen model reads at once."""

    num_tokens: int
    max_tokens: int

    @property
    def seen(self) -> int:
        """The tokens that attend to each other, at which m is exact."""
        return max(1, min(self))


def count_tokens(checkpoint: Checkpoint, text: str) -> int:
    """Tokens of a text, the two special ones included."""
    return len(checkpoint.tokenizer(text, verbose=False)["input_ids"])


def describe(size: TextSize, num_landmarks: int) -> str:
    """What m means for this text, as markup of our own numbers."""
    windows = f" in windows of {size.max_tokens:,}" if size.num_tokens > size.max_tokens else ""
    facts = f"<b>{size.num_tokens:,}</b> tokens{windows}"
    if not num_landmarks or num_landmarks >= size.seen:
        return f"<p>{facts}, attended <b>exactly</b></p>"
    noun = "landmark" if num_landmarks == 1 else "landmarks"
    return f"<p>{facts}, <b>{num_landmarks:,}</b> {noun}: one for <b>{number(size.seen / num_landmarks)}</b> tokens</p>"


def checkpoint_line(checkpoint: Checkpoint) -> str:
    """Name and size, as markup."""
    return f"{html.escape(checkpoint.name)}, {number(checkpoint.num_parameters / 1e6)} million parameters"


def new_head_notice(checkpoint: Checkpoint) -> str:
    """What has to be said where a checkpoint brings no head for the task, as markup; else nothing."""
    if not checkpoint.new_head:
        return ""
    return (
        f'<p role="status"><b>{html.escape(checkpoint.name)}</b> has no head for '
        f"“{TASKS[checkpoint.task].label}”. A new, untrained one stands in for it: its answers are random. The "
        "attention is the checkpoint’s own.</p>"
    )
