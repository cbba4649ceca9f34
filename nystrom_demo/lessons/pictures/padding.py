"""What padding does to landmarks, and what it must not do."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch

from nystrom_demo.analysis import collect_layers, padding_errors
from nystrom_demo.attention import segment_means
from nystrom_demo.formatting import count, percent
from nystrom_demo.lessons.case import Case, segment_ends
from nystrom_demo.lessons.scene import (
    CHANNELS,
    LANDMARKS,
    Block,
    Chart,
    Curve,
    Matrix,
    Reading,
    Scene,
    Sign,
    Words,
    scale_end,
)


@dataclass(frozen=True)
class _Padded:
    """The case's text, no longer than half of what the model reads, with `pads` tokens of padding on its right."""

    case: Case

    @cached_property
    def ids(self) -> torch.Tensor:
        """(1, n), without the padding."""
        return self.case.ids[:, : max(self.case.checkpoint.max_tokens // 2, 1)]

    @property
    def n(self) -> int:
        return self.ids.shape[1]

    @property
    def pads(self) -> int:
        return round(self.n * self.case.controls.padding / 100)

    @property
    def m(self) -> int:
        return min(self.case.m, self.n)

    @property
    def cut(self) -> int:
        """How many tokens the segments are cut through: all, or the real ones alone."""
        return self.n + self.pads if self.case.controls.average_padding else self.n

    @property
    def is_padding(self) -> torch.Tensor:
        """(n + pads,)"""
        return torch.arange(self.n + self.pads) >= self.n

    def queries(self) -> torch.Tensor:
        """The head's queries, (n + pads, d), from the model's own pass with its mask."""
        case, model = self.case, self.case.checkpoint.model
        padded = torch.cat([self.ids, self.ids.new_full((1, self.pads), model.config.pad_token_id or 0)], 1)
        mask = ~self.is_padding[None].to(padded.device)
        inputs = collect_layers(model, padded, mask, layers=[case.controls.layer])[0]
        return inputs.q[0, case.head].float().cpu()

    def words(self) -> list[str]:
        return [*self.case.words[: self.n], *[self.case.checkpoint.tokenizer.pad_token or "padding"] * self.pads]

    def lengths(self) -> list[int]:
        """Tokens of each segment."""
        short, extra = divmod(self.cut, self.m)
        return [short + 1] * extra + [short] * (self.m - extra)

    def landmarks(self) -> list[int]:
        """The landmark that each token is averaged into, -1 for none."""
        within = [landmark for landmark, length in enumerate(self.lengths()) for _ in range(length)]
        return within + [-1] * (self.n + self.pads - self.cut)


def padding(case: Case) -> Scene:
    """The segments of a padded text, cut through the padding or not, and the error against the padding's length."""
    padded = _Padded(case)
    n = padded.n
    paddings = sorted({0, n // 4, n // 2, n})
    settings = case.landmark_settings._replace(num_landmarks=padded.m)
    table = padding_errors(case.checkpoint.model, padded.ids, case.controls.layer, case.head, paddings, settings)
    bare, naive, ours = (float(x) for x in (table.ours.iloc[0], table.naive.iloc[-1], table.ours.iloc[-1]))
    readings = (
        Reading("tokens of text", n),
        Reading("tokens of padding in the picture", padded.pads),
        Reading("error without padding", bare, ".4f", secret=True),
        Reading("error padded to twice the length, averaging padding", naive, ".4f", secret=True),
        Reading("error padded to twice the length, real tokens only", ours, ".4f", secret=True),
    )
    outcome = "larger" if naive > 1.1 * bare else "smaller" if naive < 0.9 * bare else "unchanged"
    facts = {
        "error_bare": percent(bare),
        "error_naive": percent(naive),
        "error_ours": percent(ours),
        "padding": count(n),
    }
    summary = (
        f"Padded from {count(n)} to {count(2 * n)} tokens, the output error is {percent(naive)} when landmarks average "
        f"padding and {percent(ours)} when they do not; without padding it is {percent(bare)}."
    )
    rows = (_segment_row(padded), _query_row(padded), (_error_chart(table, padded.pads),))
    segments = segment_ends(padded.lengths())
    return Scene(rows, readings, summary, outcome, facts, tuple(padded.words()), segments, case.note)


def _segment_row(padded: _Padded) -> tuple[Block, ...]:
    name, faded = "segments of the padded text", padded.is_padding.tolist()
    return (Words("mask", "neutral", name, padded.words(), padded.landmarks(), faded),)


def _query_row(padded: _Padded) -> tuple[Block, ...]:
    q = padded.queries()
    landmarks = segment_means(q[None, None, : padded.cut], padded.m)[0][0, 0]
    limit = scale_end(q)
    return (
        Matrix("query", "query", "q, padded", q, ("padded token", CHANNELS), "signed", limit),
        Sign("→"),
        Matrix("landmark", "query", "q̃", landmarks, (LANDMARKS, CHANNELS), "signed", limit),
    )


def _error_chart(table: pd.DataFrame, mark: int) -> Chart:
    curves = (
        Curve("mask", "peer", "average padding", table.naive.tolist()),
        Curve("landmark", "landmark", "real tokens only", table.ours.tolist()),
    )
    paddings = table.padding.tolist()
    return Chart("output error", paddings, "tokens of padding", "relative error", curves, mark=mark, secret=True)
