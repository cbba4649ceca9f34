"""Code for the figures of the Error tab."""

from collections.abc import Sequence

from nystrom_demo.snippets.parts import SAY_FIGURE, HeadView, loading, reading_head, reading_text

_SCRIPT = """\
from nystrom_demo import AttentionSettings, figures
from nystrom_demo.analysis import {functions}
from nystrom_demo.checkpoints import load_checkpoint

{body}"""
_LENGTHS = """\
layer, head = {layer}, {head}  # counted from 0, where the page counts from 1
settings = {settings!r}

checkpoint = {loader}
{inputs}
points = error_against_length(
    inputs, head, {lengths}, settings, tokens_per_landmark={ratio!r}, most_landmarks={most_landmarks}
)
figure = figures.error_against_length(list(points))
"""
_REPEATED = """\
text = {text!r}
ids = checkpoint.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(checkpoint.device)
inputs = repeated_inputs(checkpoint.model, ids, layer, {longest}, window={window})"""
_RANDOM = """\
config = checkpoint.model.config
inputs, head = random_inputs({longest}, config.hidden_size // config.num_attention_heads), 0"""


def for_mosaic(view: HeadView) -> str:
    """A script that prints the errors of every head."""
    body = (
        "layers = collect_layers(checkpoint.model, ids)\n"
        "errors = head_errors(layers, settings, spectral=False)  # layers and heads count from 0\n"
        f"figure = figures.mosaic(errors, chosen=({view.layer}, {view.head}))  # drawn from 1, as on the page\n"
    )
    return _script("collect_layers, head_errors", reading_text(view), body)


def for_landmarks(view: HeadView, measure: str, landmarks: Sequence[int], chosen: int) -> str:
    """A script that prints a head's error at each m."""
    body = (
        f"errors = error_against_landmarks(inputs, head, {list(landmarks)}, settings)\n"
        f'figure = figures.error_against_landmarks(errors, "{measure}", chosen={chosen})\n'
    )
    return _script("collect_layers, error_against_landmarks", reading_head(view), body)


def for_all_heads(view: HeadView, measure: str, landmarks: Sequence[int], chosen: int) -> str:
    """A script that prints the error of every head at each m."""
    body = (
        "layers = collect_layers(checkpoint.model, ids)\n"
        "errors = pd.concat(  # layers and heads count from 0\n"
        "    head_errors(layers, settings._replace(num_landmarks=m), spectral=False).assign(num_landmarks=m)\n"
        f"    for m in {list(landmarks)}\n"
        ")\n"
        f'figure = figures.errors_over_heads(errors, "{measure}", chosen={chosen})  # its table counts from 1\n'
    )
    return "import pandas as pd\n\n" + _script("collect_layers, head_errors", reading_text(view), body)


def for_spectrum(view: HeadView, num_landmarks: int) -> str:
    """A script that prints a head's singular values."""
    body = f"figure = figures.singular_values(singular_values(inputs, head), num_landmarks={num_landmarks})\n"
    return _script("collect_layers, singular_values", reading_head(view), body)


def for_pinv(view: HeadView, steps: int) -> str:
    """A script that prints the residual of the pseudo-inverse after each step."""
    body = (
        f"residuals = pinv_residuals(inputs, head, settings, steps={steps})\n"
        "figure = figures.pinv_residuals(residuals, steps=settings.pinv_iterations)\n"
    )
    return _script("collect_layers, pinv_residuals", reading_head(view), body)


def for_states(view: HeadView, *, logits: bool) -> str:
    """A script that prints how far hidden states go from the exact ones, and with `logits` what becomes of these."""
    body = "figure = figures.hidden_state_errors(hidden_state_errors(checkpoint.model, ids, settings))\n"
    if not logits:
        return _script("hidden_state_errors", reading_text(view), body)
    script = _script("hidden_state_errors, logit_errors", reading_text(view), body)
    return script + 'print(logit_errors(checkpoint.model, {"input_ids": ids}, settings))\n'


def for_lengths(
    view: HeadView, lengths: Sequence[int], ratio: float, most_landmarks: int, *, window: int | None
) -> str:
    """A script that prints the errors at each length: of the text read in windows or, with none, of random numbers."""
    longest = max(lengths)
    if window is None:
        source, inputs = "random_inputs", _RANDOM.format(longest=longest)
    else:
        source, inputs = "repeated_inputs", _REPEATED.format(text=view.text, longest=longest, window=window)
    given = view._asdict() | {"lengths": list(lengths), "ratio": ratio, "most_landmarks": most_landmarks}
    body = _LENGTHS.format(**given, inputs=inputs, loader=loading(view.checkpoint))
    return _script(f"error_against_length, {source}", "", body)


def _script(functions: str, reading: str, body: str) -> str:
    return _SCRIPT.format(functions=functions, body=reading + body + SAY_FIGURE)
