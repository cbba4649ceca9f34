"""Multiple choice: a question with options in, a score for each option out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, encode, make_limits, make_windows

CHOICES = range(2, 7)


@dataclass(frozen=True)
class Choice:
    """The likeliest option, its place (from 0), and each option's probability.

    num_tokens: of the longest option's input. num_windows: for each option.
    """

    index: int
    choice: str
    scores: tuple[float, ...]
    num_tokens: int
    num_windows: int


def choose(
    checkpoint: Checkpoint,
    question: str,
    choices: Sequence[str],
    context: str = "",
    settings: AttentionSettings = EXACT,
    *,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> Choice:
    """Which of two to six `choices` answers `question`, with or without a passage to read first.

    Each option is read as `[CLS] context question [SEP] option [SEP]` and scored by itself; probabilities are the
    softmax over the options. A passage longer than max_tokens leaves room for (by default the position table) is read
    in overlapping windows, each with the whole question and option, and the options' log-probabilities are averaged
    over them: a window that tells nothing of the options then changes nothing.
    """
    asked = [(question, choices, context)]
    return choose_batch(checkpoint, asked, settings, max_tokens=max_tokens, overlap=overlap)[0]


def choose_batch(
    checkpoint: Checkpoint,
    questions: Iterable[tuple[str, Sequence[str], str]],
    settings: AttentionSettings = EXACT,
    **options,
) -> list[Choice]:
    """`choose` of each (question, choices, context), in shared forward passes."""
    return read(checkpoint, [ChoiceReader(checkpoint, *asked, **options) for asked in questions], settings)


class ChoiceReader:
    """`tasks.reading.Reader` of options. Its windows are the first option's, then the second's, …, as many for each."""

    task = "multiple-choice"

    def __init__(
        self,
        checkpoint: Checkpoint,
        question: str,
        choices: Sequence[str],
        context: str = "",
        *,
        max_tokens: int | None = None,
        overlap: int | None = None,
    ):
        check_task(checkpoint, self.task, "choose")
        self.choices = tuple(_check_choices(choices))
        limits = make_limits(checkpoint, max_tokens, overlap)
        backend = checkpoint.tokenizer.whole_text
        options = [encode(backend, choice, f"choice {i + 1}") for i, choice in enumerate(self.choices)]
        encode(backend, question, "question")
        passage_tokens = len(encode(backend, context, "context", may_be_empty=True))
        prompt = encode(backend, f"{context} {question}" if context.strip() else question, "question")
        longest = max(options, key=len)
        self.num_tokens = len(backend.post_process(prompt, longest))
        if self.num_tokens <= limits.max_tokens:
            passage_tokens = 0  # all of it fits, so nothing is cut into windows
        elif passage_tokens == 0:
            raise UserError(
                f"question and choices may take {limits.max_tokens} tokens together, got {self.num_tokens}."
            )
        # Options of unlike length get the same windows: each leaves the room that the longest one needs.
        by_option = [
            make_windows(
                backend.post_process(prompt, option),
                passage_tokens,
                limits,
                "question and choice",
                spare=len(longest) - len(option),
            )
            for option in options
        ]
        self.num_windows = len(by_option[0])
        self.windows = [window for windows in by_option for window in windows]

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[torch.Tensor]:
        """For each window, one score: transformers' heads read (batch, choices, seq), here one choice a row."""
        settings = inputs["attention_settings"]
        rows = {name: tensor[:, None] for name, tensor in inputs.items() if name != "attention_settings"}
        return list(model(**rows, attention_settings=settings).logits[:, 0].float().cpu())

    def result(self, outputs: Sequence[torch.Tensor]) -> Choice:
        scores = torch.stack(list(outputs)).view(len(self.choices), -1)  # (choices, windows)
        probabilities = scores.log_softmax(0).mean(1).softmax(0)
        index = int(probabilities.argmax())
        return Choice(index, self.choices[index], tuple(probabilities.tolist()), self.num_tokens, self.num_windows)

    def probability(self, outputs: Sequence[torch.Tensor], answer: Choice) -> float:
        return self.result(outputs).scores[answer.index]

    def in_words(self, answer: Choice) -> str:
        return answer.choice


def _check_choices(choices: Sequence[str]) -> Sequence[str]:
    if isinstance(choices, str) or len(choices) not in CHOICES:
        count = 1 if isinstance(choices, str) else len(choices)
        raise UserError(f"choices must be {CHOICES[0]} to {CHOICES[-1]} texts, got {count}.")
    return choices
