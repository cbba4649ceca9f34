"""Code for the Tasks tab: what a head answers exactly and over landmarks, and how likely its answer stays with m."""

from collections.abc import Sequence
from typing import Any

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import AttentionSettings
from nystrom_demo.snippets.parts import SAY_FIGURE, loading

# The head's function, and what of its result the page shows.
_SHOWN = {
    "masked-lm": ("fill_mask", "masks"),
    "sequence-classification": ("classify", "probabilities"),
    "token-classification": ("tag", "entities"),
    "question-answering": ("answer", "answers, result.no_answer_score"),
    "multiple-choice": ("choose", "scores"),
}
_ANSWERS = """\
from nystrom_demo import AttentionSettings
from nystrom_demo.checkpoints import load_checkpoint
from nystrom_demo.config import EXACT
from nystrom_demo.tasks import {function}

checkpoint = {loader}
inputs = {inputs!r}

for settings in (EXACT, {settings!r}):
    result = {function}(checkpoint, *inputs, settings)
    print(result.{shown})
"""
_CURVE = """\
import pandas as pd

from nystrom_demo import AttentionSettings, figures
from nystrom_demo.checkpoints import load_checkpoint
from nystrom_demo.tasks import sweep_landmarks

checkpoint = {loader}
inputs = {inputs!r}
settings = {settings!r}

points = pd.DataFrame(sweep_landmarks(checkpoint, *inputs, settings=settings))  # m = 0 is exact attention
figure = figures.answer_curve(points, num_tokens={num_tokens}, chosen={chosen})
"""


def for_answers(checkpoint: Checkpoint, inputs: Sequence[Any], settings: AttentionSettings) -> str:
    """A script that prints what a head answers exactly and over landmarks. inputs: those of the head's function."""
    function, shown = _SHOWN[checkpoint.task]
    given = {"loader": loading(checkpoint), "inputs": tuple(inputs), "settings": settings}
    return _ANSWERS.format(function=function, shown=shown, **given)


def for_answer_curve(
    checkpoint: Checkpoint, inputs: Sequence[Any], settings: AttentionSettings, *, num_tokens: int, chosen: int
) -> str:
    """A script that prints how likely the exact answer is at each m."""
    given = {"loader": loading(checkpoint), "inputs": tuple(inputs), "settings": settings}
    return _CURVE.format(**given, num_tokens=num_tokens, chosen=chosen) + SAY_FIGURE
