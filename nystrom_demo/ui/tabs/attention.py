"""Attention: every head on the visitor's text, exact and over landmarks, and where and why they differ."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd
import torch

from nystrom_demo.analysis import LayerInputs, collect_layers, head_errors
from nystrom_demo.analysis.layers import landmarks_of
from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit_heads, admit_maps, admit_reading
from nystrom_demo.limits.budget import current_visitor
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.snippets import HeadView
from nystrom_demo.ui.examples import are_examples
from nystrom_demo.ui.export import code_section
from nystrom_demo.ui.sidebar import head_within
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.view import EVERYTHING, Values, View, on_page, wired
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
from nystrom_demo.ui.viewer.components import as_json
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

    def read(self, state: PageState) -> ReadText:
        """The text under exact attention. ValueError for one that is too long to show whole."""
        checkpoint = state.checkpoint(self.checkpoints)
        # Heads of one box share their encoder and most of them their tokenizer. References, since an id may come again
        # once what had it is forgotten.
        asker = None if are_examples(state.text) else current_visitor()  # how long it takes must not tell of others
        key = (weakref.ref(checkpoint.model.base_model), weakref.ref(checkpoint.tokenizer), state.text, asker)
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        read = read_text(checkpoint, state.text)
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


class Parts(NamedTuple):
    """The tab's components, and what each shows."""

    viewer: Any
    code: Any
    heads: Any


def build(checkpoints: Library, store: gr.HTML) -> View:
    """The mosaic of all heads and the viewer of the chosen one."""
    reader = TextReader(checkpoints)
    heads = mosaic("attention-mosaic")
    parts = Parts(head_viewer("attention-viewer"), code_section("attention-code"), heads)
    choose_head(heads)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[dict]:
        return (encoded(parts, piece) for piece in show(reader, state, changed))

    def refuse(state: PageState, sentence: str) -> dict:
        return encoded(parts, {"viewer": {"message": sentence}, "code": "", "heads": None})

    return View(fill, refuse, parts, {}, parts.viewer)


def encoded(parts: Parts, piece: dict[str, Any]) -> Values:
    """Named results under their components, those of the viewer and the mosaic as JSON."""
    return wired(parts, **{name: each if name == "code" else as_json(each) for name, each in piece.items()})


def choose_head(heads: gr.HTML) -> None:
    """Let a click in the mosaic choose the page's head."""
    chosen = chosen_head(heads.elem_id)
    on_page(heads.choose, f"() => {{ const [layer, head] = ({chosen})(); pageState.set({{ layer, head }}); }}")


def show(reader: TextReader, state: PageState, changed: frozenset[str] = EVERYTHING) -> Iterator[dict[str, Any]]:
    """The chosen head at once; then the errors of all heads, of which what stands there stays for another head."""
    shown = show_head(reader, state)
    yield shown._asdict() if changed - {"layer", "head"} else {"viewer": shown.viewer, "code": shown.code}
    yield {"heads": show_mosaic(reader, state)}


def show_head(reader: TextReader, state: PageState) -> Parts:
    """The viewer's value, the code, and the mosaic, whose errors are still to be computed."""
    asked = _about(reader, state, "maps", state.layer, state.head)
    viewer, code, shape = ANSWERS.get_or_compute(asked, lambda: _compute_head(reader, state))
    return Parts(viewer, code, mosaic_payload(None, shape, (viewer["layer"], viewer["head"]), viewer["n"], viewer["m"]))


def _compute_head(reader: TextReader, state: PageState) -> tuple[dict[str, Any], str, tuple[int, int]]:
    text, settings = reader.read(state), state.settings()
    layer, head = head_within(text.shape, state.layer, state.head)
    admit_maps(text.num_tokens, landmarks_of(settings, text.num_tokens))
    viewer = head_payload(text.layers[layer], head, settings, text.tokens)
    view = HeadView(state.checkpoint(reader.checkpoints), state.text, layer, head, settings)
    return viewer, code_for_head(view, viewer["strongest"]), text.shape


def show_mosaic(reader: TextReader, state: PageState) -> dict[str, Any]:
    """The mosaic's value: the errors of all layers and heads."""
    errors, num_tokens = errors_of_heads(reader, state)
    shape = int(errors["layer"].max()) + 1, int(errors["head"].max()) + 1
    chosen = head_within(shape, state.layer, state.head)
    return mosaic_payload(errors, shape, chosen, num_tokens, landmarks_of(state.settings(), num_tokens))


def errors_of_heads(reader: TextReader, state: PageState) -> tuple[pd.DataFrame, int]:
    """A line a head, under the chosen settings, and the text's tokens."""

    def compute() -> tuple[pd.DataFrame, int]:
        text, settings = reader.read(state), state.settings()
        config = state.checkpoint(reader.checkpoints).model.config
        admit_heads(config, text.num_tokens, landmarks_of(settings, text.num_tokens))
        return head_errors(text.layers, settings, spectral=False), text.num_tokens

    return ANSWERS.get_or_compute(_about(reader, state, "errors of heads"), compute)


def _about(reader: TextReader, state: PageState, what: str, *more: Any) -> Hashable:
    """The key of what is asked of the state's model and text under its settings."""
    model = state.checkpoint(reader.checkpoints).model
    return about(model, what, state.text, state.settings(), *more, shared=are_examples(state.text))
