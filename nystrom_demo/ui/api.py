"""The named endpoints, for programs: text in, plain JSON out. They are all that the app publishes.

Docstrings are what API pages and MCP clients show, with an Args section that gradio reads.
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import torch

from nystrom_demo import tasks
from nystrom_demo.analysis import collect_layers
from nystrom_demo.analysis import compare_attention as compare
from nystrom_demo.benchmark import time_attention as measure
from nystrom_demo.checkpoints import BUNDLED, Checkpoint, Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit_answer, admit_comparison, admit_timing, timed_call_bytes
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.steps import in_steps
from nystrom_demo.limits.validation import check_integer, check_list, check_text, shown
from nystrom_demo.tasks.reading import BATCH_TOKENS, read
from nystrom_demo.ui.state import MAX_SOURCE_CHARS

LONGEST = 65_536
MAX_LENGTHS = 12
METHODS = ("softmax (SDPA)", "landmarks")
SECONDS_A_POINT = 2.0


class Endpoints:
    """The seven endpoints over the checkpoints of one server."""

    def __init__(self, checkpoints: Library):
        self.checkpoints = checkpoints

    def publish(self) -> None:
        """Add the endpoints to the gr.Blocks under construction."""
        for fn in (
            self.fill_mask,
            self.classify,
            self.tag,
            self.answer,
            self.choose,
            self.compare_attention,
            self.time_attention,
        ):
            gr.api(fn, api_name=fn.__name__)

    def fill_mask(
        self, text: str, num_landmarks: int = 0, top_k: int = 5, checkpoint: str = BUNDLED
    ) -> list[list[dict[str, Any]]]:
        """The likeliest words for each [MASK] in a text.

        Args:
            text: a text with one or more [MASK].
            num_landmarks: landmarks of the attention, 0 for exact attention.
            top_k: how many words for each mask, 1 to 100.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            A list for each mask, in order, of {token, score} with the likeliest first.
        """
        options = {"top_k": check_integer("top_k", top_k, 1, 100)}
        found = self._ask("masked-lm", checkpoint, num_landmarks, _text("text", text), **options)
        return [[{"token": one.token, "score": one.score} for one in mask.candidates] for mask in found.masks]

    def classify(self, text: str, num_landmarks: int = 0, checkpoint: str = BUNDLED) -> dict[str, float]:
        """How likely each label is for a text; the bundled checkpoint's are negative and positive, of reviews.

        Args:
            text: a text, such as a review.
            num_landmarks: landmarks of the attention, 0 for exact attention.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            Each label with its probability.
        """
        return self._ask("sequence-classification", checkpoint, num_landmarks, _text("text", text)).probabilities

    def tag(self, text: str, num_landmarks: int = 0, checkpoint: str = BUNDLED) -> list[dict[str, Any]]:
        """The named entities of a text.

        Args:
            text: a text with names of people, places and organisations.
            num_landmarks: landmarks of the attention, 0 for exact attention.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            A list of {entity, word, start, end, score}; start and end count characters.
        """
        found = self._ask("token-classification", checkpoint, num_landmarks, _text("text", text))
        return [
            {"entity": one.entity, "word": one.word, "start": one.start, "end": one.end, "score": one.score}
            for one in found.entities
        ]

    def answer(self, question: str, context: str, num_landmarks: int = 0, checkpoint: str = BUNDLED) -> dict[str, Any]:
        """The stretch of a passage that answers a question.

        Args:
            question: a question about the passage.
            context: the passage.
            num_landmarks: landmarks of the attention, 0 for exact attention.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            {answer, start, end, score}; start and end count characters of the passage. Where no answer is likely, an
            empty answer from 0 to 0 with the probability of "no answer".
        """
        inputs = (_text("question", question), _text("context", context))
        found = self._ask("question-answering", checkpoint, num_landmarks, *inputs)
        if found.no_answer:
            return {"answer": "", "start": 0, "end": 0, "score": found.no_answer_score}
        best = found.answers[0]
        return {"answer": best.answer, "start": best.start, "end": best.end, "score": best.score}

    def choose(
        self,
        question: str,
        choices: list[str],
        context: str = "",
        num_landmarks: int = 0,
        checkpoint: str = BUNDLED,
    ) -> dict[str, Any]:
        """Which of two to six options answers a question best.

        Args:
            question: a question, or the beginning of a statement.
            choices: two to six options.
            context: a passage to read first; may be empty.
            num_landmarks: landmarks of the attention, 0 for exact attention.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            {index, choice, scores}: the best option's place from 0, the option, and each option's probability.
        """
        options = check_list("choices", choices, 2, 6, _text)
        passage = _text("context", context, empty=True)
        found = self._ask("multiple-choice", checkpoint, num_landmarks, _text("question", question), options, passage)
        return {"index": found.index, "choice": found.choice, "scores": list(found.scores)}

    def compare_attention(
        self, text: str, layer: int = 0, head: int = 0, num_landmarks: int = 16, checkpoint: str = BUNDLED
    ) -> dict[str, Any]:
        """How far one head's landmark attention is from its exact attention on a text.

        Args:
            text: any text.
            layer: layer, counted from 0.
            head: head of the layer, counted from 0.
            num_landmarks: landmarks of the attention, 0 for exact attention.
            checkpoint: whose answer it is: "bundled", a name in the server's folder, or, where allowed, a Hub id.

        Returns:
            Relative errors of the map (frobenius, spectral) and of its output, the least errors of any matrix of the
            same rank (best_frobenius, best_spectral), negative entries, row sums, and the pseudo-inverse's residual.
        """
        loaded, settings = self._load(checkpoint, "masked-lm"), _settings(num_landmarks)
        config = loaded.model.config
        ids = loaded.tokenizer(_text("text", text), verbose=False)["input_ids"]
        layer = check_integer("layer", layer, 0, config.num_hidden_layers - 1)
        head = check_integer("head", head, 0, config.num_attention_heads - 1)
        check_integer("tokens of the text", len(ids), 1, loaded.max_tokens)
        admit_comparison(config, len(ids), settings.num_landmarks)
        input_ids = torch.tensor([ids], device=loaded.device)
        (layer_inputs,) = collect_layers(loaded.model, input_ids, layers=[layer])
        return compare(layer_inputs, head, settings)

    @in_steps
    def time_attention(
        self, lengths: list[int], num_landmarks: int = 64, heads: int = 12, head_dim: int = 64
    ) -> Iterator[list[dict[str, Any]]]:
        """Time and peak memory of exact and landmark attention at each length, on the server's device.

        Args:
            lengths: up to 12 numbers of tokens, each up to 65,536.
            num_landmarks: landmarks of the attention, 1 to 1,024.
            heads: attention heads, 1 to 32.
            head_dim: numbers a head, 8 to 256.

        Returns:
            A list of {method, n, seconds, peak_bytes, extrapolated, note}. seconds is the median of the repeats; where
            a point would have taken too long it is read from the method's fitted law, and extrapolated is true.
        """
        lengths = check_list("lengths", lengths, 1, MAX_LENGTHS, lambda name, n: check_integer(name, n, 1, LONGEST))
        num_landmarks = check_integer("num_landmarks", num_landmarks, 1, 1_024)
        heads, head_dim = check_integer("heads", heads, 1, 32), check_integer("head_dim", head_dim, 8, 256)
        admit_timing(lengths, heads, head_dim)
        measured = measure(
            lengths,
            num_landmarks=num_landmarks,
            methods=METHODS,
            heads=heads,
            head_dim=head_dim,
            device=self.checkpoints["masked-lm"].device,
            repeats=3,
            budget_seconds=SECONDS_A_POINT,
            budget_bytes=timed_call_bytes(),
        )
        points = []
        for point in measured:
            points.append(point)
            yield []
        yield [
            {
                "method": point.method,
                "n": point.n,
                "seconds": point.median if point.seconds else None,
                "peak_bytes": point.peak_bytes,
                "extrapolated": point.extrapolated,
                "note": point.note,
            }
            for point in points
        ]

    def _ask(self, task: str, checkpoint: str, num_landmarks: int, *inputs: Any, **options: Any) -> Any:
        """A head's result. One that is new is refused, since its answers are chance and a program reads no notice."""
        loaded, settings = self._load(checkpoint, task), _settings(num_landmarks)
        if loaded.new_head:
            raise UserError(f"checkpoint must have a trained head for {task}, got {shown(checkpoint)}.")
        reader = tasks.prepare(loaded, *inputs, **options)
        admit_answer(loaded.model.config, reader, settings, BATCH_TOKENS)
        return read(loaded, [reader], settings)[0]

    def _load(self, checkpoint: str, task: str) -> Checkpoint:
        """The checkpoint that is asked for, vetted as the page's are. CheckpointError says why one is refused."""
        return self.checkpoints.load(check_text("checkpoint", checkpoint, MAX_SOURCE_CHARS), task)


def _text(name: str, value: str, *, empty: bool = False) -> str:
    return check_text(name, value, current_limits().text_chars, empty=empty)


def _settings(num_landmarks: int) -> AttentionSettings:
    """Exact attention at 0 landmarks."""
    m = check_integer("num_landmarks", num_landmarks, 0, current_limits().text_tokens)
    return AttentionSettings(num_landmarks=m) if m else EXACT
