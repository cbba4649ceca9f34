"""What a live picture is computed from: one head of one layer on the reader's text, and the settings chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import torch

from nystrom_demo.analysis import HeadFactors, LayerInputs, Maps, attention_maps, collect_layers, head_factors
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import count
from nystrom_demo.lessons.scene import Block, Reading, Scene

MAX_TOKENS = 512  # maps are n × n: enough to see, and quick to compute


@dataclass(frozen=True)
class Controls:
    """What the reader sets in the tour itself. layer and head count from 0.

    step: of the pseudo-inverse's stepper. average_padding: the padding switch. padding: how much of it, in per
    cent of the text's length. sharpness: of the synthetic pattern.
    """

    layer: int = 0
    head: int = 0
    step: int = 6
    average_padding: bool = False
    padding: int = 25
    sharpness: float = 10.0


@dataclass(frozen=True)
class Case:
    """One head on one text. ValueError, in one sentence, where text, layer, head or m do not fit the model.

    checkpoints: the five heads by task, for the step that asks whether answers change. budget_bytes: what a timed call
    may hold, for the step on cost.
    """

    checkpoint: Checkpoint
    text: str
    settings: AttentionSettings
    controls: Controls = Controls()
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    budget_bytes: int = 2**30

    @cached_property
    def ids(self) -> torch.Tensor:
        """(1, n), the text's tokens as far as the pictures go."""
        if not self.text.strip():
            raise UserError("text is empty: write a sentence to see attention on it.")
        encoding = self.checkpoint.tokenizer(self.text, truncation=True, max_length=self.most_tokens)
        return torch.tensor([encoding["input_ids"]], device=self.checkpoint.device)

    @property
    def most_tokens(self) -> int:
        return min(MAX_TOKENS, self.checkpoint.max_tokens)

    @cached_property
    def shown_text(self) -> str:
        """The text as far as the pictures go."""
        encoding = self.checkpoint.tokenizer(
            self.text, truncation=True, max_length=self.most_tokens, return_offsets_mapping=True
        )
        return self.text[: max(end for _, end in encoding["offset_mapping"])]

    @property
    def note(self) -> str:
        """Says where the text was cut for the picture, and where it is too short for the m chosen, or nothing."""
        notes = []
        if len(self.shown_text) < len(self.text.rstrip()):
            notes.append(f"The picture uses the first {count(self.n)} tokens of the text and leaves out the rest.")
        chosen = self.settings.num_landmarks
        if self.settings.implementation == "nystrom" and chosen >= self.n:
            notes.append(
                f"The text has {count(self.n)} tokens, no more than the {count(chosen)} landmarks chosen: the model "
                "runs exact attention, m = n."
            )
        return " ".join(notes)

    @cached_property
    def inputs(self) -> LayerInputs:
        """q, k, v of the chosen layer, from the model's exact pass."""
        return collect_layers(self.checkpoint.model, self.ids, layers=[self.controls.layer])[0]

    @property
    def head(self) -> int:
        return self.controls.head

    @property
    def n(self) -> int:
        return self.ids.shape[1]

    @property
    def m(self) -> int:
        """Landmarks: never more than tokens, and one a token where attention is exact."""
        return min(self.settings.num_landmarks, self.n) if self.settings.implementation == "nystrom" else self.n

    @cached_property
    def landmark_settings(self) -> AttentionSettings:
        """The settings with m as it comes out on this text."""
        return self.settings._replace(implementation="nystrom", num_landmarks=self.m)

    @cached_property
    def q(self) -> torch.Tensor:
        """The head's queries, (n, d)."""
        return self.inputs.q[0, self.head].float()

    @cached_property
    def k(self) -> torch.Tensor:
        return self.inputs.k[0, self.head].float()

    @cached_property
    def v(self) -> torch.Tensor:
        return self.inputs.v[0, self.head].float()

    @cached_property
    def maps(self) -> Maps:
        return attention_maps(self.inputs, self.head, self.landmark_settings)

    @cached_property
    def factors(self) -> HeadFactors:
        return head_factors(self.inputs, self.head, self.landmark_settings)

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(self.checkpoint.tokenizer.convert_ids_to_tokens(self.ids[0].tolist()))

    @cached_property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(first, last) token of each landmark."""
        return segment_ends(torch.bincount(self.factors.segments, minlength=self.m).tolist())

    def scene(
        self,
        rows: tuple[tuple[Block, ...], ...],
        readings: Sequence[Reading],
        summary: str,
        outcome: str,
        facts: dict[str, str],
    ) -> Scene:
        """A picture whose axes count this case's words and landmarks."""
        return Scene(rows, tuple(readings), summary, outcome, facts, self.words, self.segments, self.note)


def segment_ends(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(first, last) token of consecutive segments."""
    return tuple((stop - length, stop - 1) for length, stop in zip(lengths, accumulate(lengths), strict=True))


def relative_error(approximate: torch.Tensor, exact: torch.Tensor) -> float:
    """‖approximate − exact‖/‖exact‖, Frobenius."""
    return float((approximate - exact).norm() / exact.norm())
