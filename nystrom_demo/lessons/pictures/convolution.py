"""The filter that each head slides along its values."""

import torch

from nystrom_demo.attention import depthwise_convolution
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import count, number
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.scene import CHANNELS, TOKENS, Bars, Block, Matrix, Reading, Scene, Sign, scale_end


def convolution(case: Case) -> Scene:
    """The head's filter beside those of the other heads, and the two parts of the head's output."""
    weight = _weight(case)
    taps = weight[:, 0, :, 0]  # (heads, taps)
    own, reach = taps[case.head], taps.shape[1] // 2
    convolved = depthwise_convolution(case.inputs.v.float(), weight)[0, case.head]
    attended = case.maps.landmark @ case.v
    ratio = float(convolved.norm() / attended.norm())
    largest = int(own.abs().argmax())
    readings = (
        Reading("filter's taps", len(own)),
        Reading("length of Ŝ v", float(attended.norm()), ".4f", secret=True),
        Reading("length of u ∗ v", float(convolved.norm()), ".4f", secret=True),
        Reading("largest tap", float(own[largest]), ".4f"),
        Reading("its offset", largest - reach),
    )
    outcome = "small" if ratio < 0.1 else "medium" if ratio <= 1 else "large"
    facts = {
        "conv_ratio": number(ratio),
        "largest_tap": number(own[largest]),
        "largest_offset": str(largest - reach),
        "taps": count(len(own)),
        "segments_reached": number(len(own) * case.m / case.n),
    }
    summary = (
        f"The filter of head {case.head + 1} adds a part {number(ratio)} times as long as the attention's; its largest "
        f"tap, {number(own[largest])}, sits at offset {largest - reach}."
    )
    rows = (_parts(attended, convolved), *_filters(taps, case.head))
    return case.scene(rows, readings, summary, outcome, facts)


def _weight(case: Case) -> torch.Tensor:
    """(heads, 1, taps, 1). ValueError for a checkpoint without filters."""
    layer = case.checkpoint.model.base_model.encoder.layer[case.controls.layer]
    filters = layer.attention.self.conv
    if filters is None:
        raise UserError("This checkpoint has no convolution: its conv_kernel_size is None.")
    return filters.weight.detach().float()


def _parts(attended: torch.Tensor, convolved: torch.Tensor) -> tuple[Block, ...]:
    limit = max(scale_end(convolved), scale_end(attended))
    axes = (TOKENS, CHANNELS)
    return (
        Matrix("landmark", "landmark", "Ŝ v", attended, axes, "signed", limit, secret=True),
        Sign("+", secret=True),
        Matrix("convolution", "convolution", "u ∗ v", convolved, axes, "signed", limit, secret=True),
    )


def _filters(taps: torch.Tensor, head: int) -> tuple[tuple[Block, ...], ...]:
    reach = taps.shape[1] // 2
    offsets = list(range(-reach, reach + 1))
    own = Bars("convolution", "convolution", "filter u of this head", offsets, "offset r", taps[head].tolist())
    axes, first = ("head", "offset"), (1, -reach)
    every = Matrix("convolution", "convolution", "all heads' filters", taps, axes, "signed", first=first)
    return (own,), (every,)
