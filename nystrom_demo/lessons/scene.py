"""What a live picture is made of, as plain data: blocks in rows, the numbers read from them, and one sentence.

Every block has a `key`, that of the formula's term it shows ("" for none), and a `role`, its colour. A `secret` block
or reading is shown after the reader has made a prediction.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from nystrom_demo.formatting import number, percent

TOKENS, LANDMARKS, CHANNELS = "token", "landmark", "channel"  # what rows and columns count
MAX_CELLS = 112  # a side of a drawn matrix: beyond it cells are means of neighbouring entries, and say so
SMALL_CELLS = 46
BELOW_SCALE_END = 0.995
_POOLING = {"mean": torch.mean, "lowest": torch.amin}


@dataclass(frozen=True)
class Matrix:
    """A matrix drawn as cells. `scale`: "weights" from zero up, "signed" centred on zero.

    axes: what rows and columns count (TOKENS, LANDMARKS, …), first: the first row's and column's number. limit: the
    value at the scale's end; `scale_end` unless told, so that two matrices can share one scale. small: one of many
    beside each other. pooling: what a cell of a large matrix shows of its entries, their "mean" or the "lowest" of
    them. head: the head, from 0, that a click on this matrix chooses.
    """

    key: str
    role: str
    name: str
    values: torch.Tensor
    axes: tuple[str, str]
    scale: str = "weights"
    limit: float | None = None
    small: bool = False
    secret: bool = False
    first: tuple[int, int] = (1, 1)
    pooling: str = "mean"
    head: int | None = None

    def as_json(self) -> dict:
        values = self.values.detach().float().cpu()
        limit = scale_end(values) if self.limit is None else self.limit
        drawn, pooled = pool(values, SMALL_CELLS if self.small else MAX_CELLS, self.pooling)
        unit, data = half(drawn)
        return {
            "kind": "matrix",
            "key": self.key,
            "role": self.role,
            "name": self.name,
            "shape": list(values.shape),
            "drawn": list(drawn.shape),
            "pooled": pooled,
            "pooling": self.pooling,
            "head": self.head,
            "axes": list(self.axes),
            "first": list(self.first),
            "scale": self.scale,
            "limit": limit or 1.0,
            "clipped": float(values.abs().max()) > 1.001 * limit,
            "small": self.small,
            "secret": self.secret,
            "unit": unit,
            "data": data,
        }


def half(values: torch.Tensor) -> tuple[float, str]:
    """(unit, data): the values are unit times the 16-bit floats, row by row, that data holds in base64.

    Three digits of each, at half the weight of 32 bits: most of what the page is sent at its opening is such a matrix.
    The unit is a power of two that none of the values exceeds.
    """
    unit = 2.0 ** math.ceil(math.log2(float(values.abs().max()) or 1.0))
    return unit, base64.b64encode((values / unit).numpy().astype("<f2").tobytes()).decode()


@dataclass(frozen=True)
class Sign:
    """What stands between two blocks: ·, =, ≈."""

    text: str
    secret: bool = False

    def as_json(self) -> dict:
        return {"kind": "sign", "text": self.text, "secret": self.secret}


@dataclass(frozen=True)
class Curve:
    """One line of a chart; None in `y` leaves a gap."""

    key: str
    role: str
    name: str
    y: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over a common x. `mark` is the x that the reader has chosen now."""

    name: str
    x: Sequence[float]
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False
    mark: float | None = None
    secret: bool = False

    def as_json(self) -> dict:
        return {
            "kind": "chart",
            "name": self.name,
            "x": list(self.x),
            "x_label": self.x_label,
            "y_label": self.y_label,
            "curves": [vars(curve) | {"y": list(curve.y)} for curve in self.curves],
            "log_x": self.log_x,
            "log_y": self.log_y,
            "mark": self.mark,
            "secret": self.secret,
        }


@dataclass(frozen=True)
class Bars:
    """One number each for a few positions, positive upwards."""

    key: str
    role: str
    name: str
    x: Sequence[float]
    x_label: str
    values: Sequence[float]
    secret: bool = False

    def as_json(self) -> dict:
        return {"kind": "bars"} | vars(self) | {"x": list(self.x), "values": list(self.values)}


@dataclass(frozen=True)
class Words:
    """The text's tokens, each in the colour of its segment; -1 for none. faded marks padding."""

    key: str
    role: str
    name: str
    words: Sequence[str]
    segments: Sequence[int]
    faded: Sequence[bool] = ()
    secret: bool = False

    def as_json(self) -> dict:
        lists = {"words": list(self.words), "segments": list(self.segments), "faded": list(self.faded)}
        return {"kind": "words"} | vars(self) | lists


class Yardstick(NamedTuple):
    """One error to compare with: the colour's role, what made the map, its relative error."""

    role: str
    name: str
    error: float


@dataclass(frozen=True)
class Yardsticks:
    """Relative errors of several maps as bars from one zero, so that each is read against the others."""

    name: str
    sticks: Sequence[Yardstick]
    secret: bool = False
    key: str = ""

    def as_json(self) -> dict:
        sticks = [stick._asdict() | {"text": percent(stick.error)} for stick in self.sticks]
        return {"kind": "yardsticks"} | vars(self) | {"sticks": sticks}


Block = Matrix | Sign | Chart | Bars | Words | Yardsticks


@dataclass(frozen=True)
class Reading:
    """A number beside the picture. `form` is Python's format for it; the code for the view prints the same text.

    measured: a time of this machine, which another run will not repeat.
    """

    name: str
    value: int | float | str
    form: str = ""
    secret: bool = False
    measured: bool = False

    @property
    def text(self) -> str:
        return format(self.value, self.form)

    def as_json(self) -> dict:
        text = number(self.value) if self.form.endswith("e") else self.text  # powers of ten are for code
        return {"name": self.name, "text": text, "secret": self.secret}


@dataclass(frozen=True)
class Scene:
    """A live picture: rows of blocks, readings, one sentence for those who do not see it, and a prediction's outcome.

    words: the tokens that "token" axes count. segments: (first, last) token of each landmark for "landmark" axes.
    outcome: the name of the prediction's option that holds here. facts: what fills the places of the lesson's
    closing words. note: what a reader should know about this text, such as that it was cut.
    """

    rows: tuple[tuple[Block, ...], ...]
    readings: tuple[Reading, ...]
    summary: str
    outcome: str
    facts: dict[str, str]
    words: tuple[str, ...] = ()
    segments: tuple[tuple[int, int], ...] = ()
    note: str = ""
    blocks: tuple[Block, ...] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "blocks", tuple(block for row in self.rows for block in row))

    def as_json(self) -> dict:
        return {
            "rows": [[block.as_json() for block in row] for row in self.rows],
            "readings": [reading.as_json() for reading in self.readings],
            "summary": self.summary,
            "outcome": self.outcome,
            "words": list(self.words),
            "segments": [list(ends) for ends in self.segments],
            "note": self.note,
        }

    def keys(self) -> set[str]:
        """The keys of every block and curve."""
        curves = {curve.key for block in self.blocks if isinstance(block, Chart) for curve in block.curves}
        return (curves | {block.key for block in self.blocks if not isinstance(block, Chart | Sign)}) - {""}


def scale_end(values: torch.Tensor) -> float:
    """Where a matrix's colours end: 99.5 % of its entries are below, so a few large ones do not darken the rest."""
    sizes = values.detach().float().abs().flatten()
    return float(sizes.quantile(BELOW_SCALE_END)) or float(sizes.max())


def pool(values: torch.Tensor, most: int, pooling: str = "mean") -> tuple[torch.Tensor, list[int]]:
    """A matrix of at most `most` rows and columns, and how many neighbouring entries each row and column pools."""
    sizes = [-(-side // most) for side in values.shape]
    for axis, size in enumerate(sizes):
        if size > 1:
            groups = values.split(size, dim=axis)
            values = torch.stack(
                [group.mean(axis) if pooling == "mean" else group.amin(axis) for group in groups], dim=axis
            )
    return values, sizes
