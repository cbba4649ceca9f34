"""Attention: every head on the visitor's text, exact and over landmarks, and where and why they differ."""

import functools
import threading
import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

import gradio as gr
import torch

from nystrom_demo.analysis import LayerInputs, collect_layers, head_errors
from nystrom_demo.analysis.layers import landmarks_of
from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit_heads, admit_maps, admit_reading
from nystrom_demo.limits.budget import current_visitor
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.snippets import HeadView
from nystrom_demo.ui.events import EACH, LAST
from nystrom_demo.ui.examples import are_examples
from nystrom_demo.ui.export import code_section
from nystrom_demo.ui.sidebar import Bench, BenchValues, Refresh, head_within, takes_bench
from nystrom_demo.ui.viewer import (
    ShownToken,
    chosen_head,
    code_for_head,
    head_payload,
    head_viewer,
    mosaic,
    mosaic_payload,
    shown_tokens,
)
from nystrom_demo.ui.viewer.payload import check_sizes

KEPT_TEXTS = 3  # of about 60 MB each at 2,048 tokens of a 6-layer model


class ReadText(NamedTuple):
    """A text as the model's exact pass reads it: every layer's q, k, v, and its tokens."""

    layers: list[LayerInputs]
    tokens: list[ShownToken]

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, heads)."""
        return len(self.layers), self.layers[0].num_heads

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)


class TextReader:
    """Reads texts, and keeps the last few, so that another head or another m costs no pass through the model."""

    def __init__(self, checkpoints: Library, kept: int = KEPT_TEXTS):
        self.checkpoints = checkpoints
        self.kept = kept
        self._read: OrderedDict[tuple, ReadText] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, values: BenchValues) -> ReadText:
        """The bench's text under exact attention. ValueError for one that is too long to show whole."""
        checkpoint = values.checkpoint(self.checkpoints)
        # Heads of one box share their encoder and most of them their tokenizer. References, since an id may come again
        # once what had it is forgotten.
        asker = None if are_examples(values.text) else current_visitor()  # how long it takes must not tell of others
        key = (weakref.ref(checkpoint.model.base_model), weakref.ref(checkpoint.tokenizer), values.text, asker)
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        read = read_text(checkpoint, values.text)
        with self._lock:
            self._read[key] = read
            while len(self._read) > self.kept:
                self._read.popitem(last=False)
        return read


def read_text(checkpoint: Checkpoint, text: str) -> ReadText:
    """A text's tokens, and the q, k, v of each layer in one exact pass. ValueError for one too long to show whole."""
    encoding = checkpoint.tokenizer(text, return_offsets_mapping=True, verbose=False)
    n = len(encoding["input_ids"])
    if n > checkpoint.max_tokens:
        raise UserError(
            f"The maps show a text whole: this one has {n:,} tokens, and the position table of this model ends at "
            f"{checkpoint.max_tokens:,}."
        )
    check_sizes(n, n)
    admit_reading(checkpoint.model.config, n)
    input_ids = torch.tensor([encoding["input_ids"]], device=checkpoint.device)
    return ReadText(collect_layers(checkpoint.model, input_ids), shown_tokens(checkpoint.tokenizer, text, encoding))


def build(bench: Bench, checkpoints: Library) -> Refresh:
    """The mosaic of all heads and the viewer of the chosen one."""
    reader = TextReader(checkpoints)
    layer, head = bench.layer, bench.head
    heads = mosaic("attention-mosaic")
    viewer = head_viewer("attention-viewer")
    code = code_section("attention-code")
    heads.choose(None, None, [layer, head], js=chosen_head("attention-mosaic"), **EACH).then(
        takes_bench(functools.partial(show_head, reader)),
        [*bench.inputs, layer, head],
        [viewer, code],
        **LAST | {"show_progress": "minimal"},
    )
    return Refresh(
        takes_bench(functools.partial(show_tab, reader)),
        [*bench.inputs, layer, head],
        [layer, head, viewer, code, heads],
        (takes_bench(functools.partial(show_mosaic, reader)), [*bench.inputs, layer, head], [heads]),
    )


def show_tab(reader: TextReader, values: BenchValues, layer: int, head: int) -> tuple[Any, ...]:
    """(layer, head, viewer, code, mosaic): the chosen head at once, the mosaic still to be computed."""
    try:
        shared = are_examples(values.text)
        asked = about(values.checkpoint(reader.checkpoints).model, "maps", values, layer, head, shared=shared)
        return ANSWERS.get_or_compute(asked, lambda: _compute_tab(reader, values, layer, head))
    except UserError as error:
        return gr.skip(), gr.skip(), {"message": str(error)}, "", None


def _compute_tab(reader: TextReader, values: BenchValues, layer: int, head: int) -> tuple[Any, ...]:
    text = reader.read(values)
    layer, head = head_within(text.shape, layer, head)
    admit_maps(text.num_tokens, landmarks_of(values.settings(), text.num_tokens))
    viewer = head_payload(text.layers[layer], head, values.settings(), text.tokens)
    view = HeadView(values.checkpoint(reader.checkpoints), values.text, layer, head, values.settings())
    code = code_for_head(view, viewer["strongest"])
    return layer, head, viewer, code, mosaic_payload(None, text.shape, (layer, head), text.num_tokens, viewer["m"])


def show_head(reader: TextReader, values: BenchValues, layer: int, head: int) -> tuple[dict[str, Any], str]:
    """The viewer's value, and the code, for another head of the same text."""
    return show_tab(reader, values, layer, head)[2:4]


def show_mosaic(reader: TextReader, values: BenchValues, layer: int, head: int) -> dict[str, Any] | None:
    """The mosaic's value: the errors of all layers and heads."""
    try:
        shared = are_examples(values.text)
        asked = about(values.checkpoint(reader.checkpoints).model, "mosaic", values, layer, head, shared=shared)
        return ANSWERS.get_or_compute(asked, lambda: _compute_mosaic(reader, values, layer, head))
    except UserError:
        return None  # the viewer says why


def _compute_mosaic(reader: TextReader, values: BenchValues, layer: int, head: int) -> dict[str, Any]:
    text, settings = reader.read(values), values.settings()
    chosen = head_within(text.shape, layer, head)
    m = landmarks_of(settings, text.num_tokens)
    admit_heads(values.checkpoint(reader.checkpoints).model.config, text.num_tokens, m)
    errors = head_errors(text.layers, settings, spectral=False)
    return mosaic_payload(errors, text.shape, chosen, text.num_tokens, m)
