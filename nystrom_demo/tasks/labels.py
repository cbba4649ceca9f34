"""Sequence classification: a text in, its labels with probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, encode, make_limits, make_windows


@dataclass(frozen=True)
class Classification:
    """The likeliest label of a text, and every label's probability in the model's order."""

    label: str
    probabilities: dict[str, float]
    num_tokens: int
    num_windows: int


def classify(
    checkpoint: Checkpoint,
    text: str,
    settings: AttentionSettings = EXACT,
    *,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> Classification:
    """The label of a whole text.

    A text longer than max_tokens (by default the position table) is read in overlapping windows of one size, and its
    probabilities are the windows' mean.
    """
    return classify_batch(checkpoint, [text], settings, max_tokens=max_tokens, overlap=overlap)[0]


def classify_batch(
    checkpoint: Checkpoint, texts: Sequence[str], settings: AttentionSettings = EXACT, **options
) -> list[Classification]:
    """`classify` of each text, in shared forward passes."""
    return read(checkpoint, [LabelReader(checkpoint, text, **options) for text in texts], settings)


class LabelReader:
    """`tasks.reading.Reader` of a text's label."""

    task = "sequence-classification"

    def __init__(self, checkpoint: Checkpoint, text: str, *, max_tokens: int | None = None, overlap: int | None = None):
        check_task(checkpoint, self.task, "classify")
        config = checkpoint.model.config
        if config.num_labels < 2:
            raise UserError("classify needs a checkpoint with at least two labels, got one whose output is a number.")
        self.labels = label_names(config)
        self.many = config.problem_type == "multi_label_classification"
        backend = checkpoint.tokenizer.whole_text
        body = encode(backend, text, "text")
        limits = make_limits(checkpoint, max_tokens, overlap)
        framed = backend.post_process(body)
        self.windows = make_windows(framed, len(body), limits, "text")
        self.num_tokens = len(framed)

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[torch.Tensor]:
        """For each window, probabilities (num_labels,)."""
        logits = model(**inputs).logits.float().cpu()
        return list(logits.sigmoid() if self.many else logits.softmax(-1))

    def result(self, outputs: Sequence[torch.Tensor]) -> Classification:
        mean = torch.stack(list(outputs)).mean(0)
        probabilities = dict(zip(self.labels, mean.tolist(), strict=True))
        return Classification(self.labels[int(mean.argmax())], probabilities, self.num_tokens, len(self.windows))

    def probability(self, outputs: Sequence[torch.Tensor], answer: Classification) -> float:
        return self.result(outputs).probabilities[answer.label]

    def in_words(self, answer: Classification) -> str:
        return answer.label


def label_names(config) -> list[str]:
    """A model's labels in the order of its outputs; a name that stands for two of them is told apart by its number."""
    names = [str(config.id2label.get(index, f"LABEL_{index}")) for index in range(config.num_labels)]
    return [name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names)]
