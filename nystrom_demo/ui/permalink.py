"""A view as a link and back: plain query parameters, nothing kept on the server.

Parameters: tab, task, checkpoint (a folder of the server's or a Hub id), example or text, m, steps, estimate (own or
heads), layer and head (from 1, as the page counts), cell (row,column of the pinned cell, read by the viewer itself),
step (of the tour, from 1). What a link leaves out stays as it is; what it says wrong is refused in a sentence.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import gradio as gr

from nystrom_demo.checkpoints import BUNDLED, TASKS, Library
from nystrom_demo.errors import UserError
from nystrom_demo.lessons import load_lessons
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.validation import check_choice, check_integer, check_text
from nystrom_demo.ui.events import AT_ONCE, LAST
from nystrom_demo.ui.examples import Example, example_of, load_examples
from nystrom_demo.ui.refresh import fingerprint, slide
from nystrom_demo.ui.sidebar import MAX_PINV_ITERATIONS, MAX_SOURCE_CHARS, Bench, source_choices

LINK_TEXT = 4_000  # characters of a text as a link writes it; longer addresses are cut by mail and chat programs
ESTIMATES = {"heads": False, "own": True}
TABS = ("learn", "tasks", "attention", "error", "time")
# The pinned cell is the browser's own knowledge: it joins the other inputs on the way to the server.
TAKE_CELL = """(...values) => {
  values[values.length - 1] = document.querySelector('#attention-viewer [data-held]')?.dataset.held ?? '';
  return values;
}"""
# In the page: once the server answers an event with tabs, gradio copies all that they hold, 20 ms, at each later event.
OPEN_TAB = "(tab) => tab ? { __type__: 'update', selected: tab } : { __type__: 'update' }"
COPY = """async (query, note) => {
  if (!query) return [query, note];
  const link = location.origin + location.pathname + query;
  history.replaceState(null, '', link);
  let copied = 'Copied. ';
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    copied = 'This browser does not let the page copy: take the link from here. ';
  }
  return [link, copied + note];
}"""
# The word on it stands at the end of a bench that scrolls, or below the fold of a phone: bring it up once it is drawn.
SHOW_NOTE = """async () => {
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
  document.querySelector('#share-note').scrollIntoView({ block: 'nearest' });
}"""


@dataclass(frozen=True)
class ViewState:
    """What a link restores; None for what it leaves as it is. layer, head, cell and step count from 0."""

    tab: str | None = None
    task: str | None = None
    source: str | None = None
    example: str | None = None
    text: str | None = None
    num_landmarks: int | None = None
    pinv_iterations: int | None = None
    inv_coeff_init_option: bool | None = None
    layer: int | None = None
    head: int | None = None
    cell: tuple[int, int] | None = None
    step: int | None = None


class Share(NamedTuple):
    """The bench's button, what it copied, and a word on what the link leaves out."""

    button: gr.Button
    link: gr.Textbox
    note: gr.HTML


def build_share() -> Share:
    """The components, inside the current layout."""
    button = gr.Button("Copy link to this view", size="sm", elem_id="share-copy")
    link = gr.Textbox(
        "", label="Link", show_label=False, max_lines=1, visible=False, interactive=False, elem_id="share-link"
    )
    note = gr.HTML("", elem_id="share-note")
    return Share(button, link, note)


def wire_share(
    app: gr.Blocks, share: Share, bench: Bench, library: Library, tabs: gr.Tabs, open_tab: gr.Textbox
) -> gr.Textbox:
    """Copying and restoring. Returns a hidden component that changes when a link was restored, to bring its tab up."""
    cell = gr.Textbox("", visible="hidden", label="Pinned cell", elem_id="share-cell")
    shown = [open_tab, bench.task, bench.source, bench.text, *bench.inputs[2:5]]
    shown += [bench.layer, bench.head, bench.tour_step, cell]
    copied = share.button.click(copy_link, shown, [share.link, share.note], js=TAKE_CELL, **LAST, **AT_ONCE)
    told = copied.then(None, [share.link, share.note], [share.link, share.note], js=COPY, api_visibility="private")
    told.then(None, None, None, js=SHOW_NOTE, api_visibility="private")
    link_tab = gr.Textbox("", visible="hidden", label="Tab of the link", elem_id="share-tab")
    link = gr.Textbox("", visible="hidden", label="Stamp of the link", elem_id="share-stamp")
    restored = [
        *(link, link_tab, open_tab, bench.served, bench.size, bench.task, bench.source, bench.text, bench.settled),
        *(bench.num_landmarks, bench.pinv_iterations, bench.inv_coeff_init_option),
        *(bench.layer, bench.head, bench.tour_step, share.note),
    ]

    def restore_link(request: gr.Request) -> tuple[Any, ...]:  # gradio finds a request by a function's own hints
        return restore(library, bench.num_landmarks.value, dict(request.query_params))

    loaded = app.load(restore_link, None, restored, **LAST, **AT_ONCE)
    # The tab opens when all else is in place, with the stamp that it then has.
    loaded.then(None, link_tab, tabs, js=OPEN_TAB, api_visibility="private")
    return link


def query_of(state: ViewState, examples: Mapping[str, Example]) -> tuple[str, str]:
    """The link's query, "?…", and a sentence on what it cannot carry, or "". An unedited example goes by its name."""
    text = state.text or ""
    example = example_of(text, dict(examples))
    written: dict[str, Any] = {"tab": state.tab, "task": state.task}
    written["checkpoint"] = None if state.source == BUNDLED else state.source
    note = ""
    if example is not None:
        written["example"] = example.name
    elif len(quote(text)) <= LINK_TEXT:
        written["text"] = text
    else:
        note = (
            f"The text would take {len(quote(text)):,} characters and a link carries {LINK_TEXT:,}, so this one "
            "restores all but the text."
        )
    written |= {"m": state.num_landmarks, "steps": state.pinv_iterations}
    if state.inv_coeff_init_option is not None:
        written["estimate"] = "own" if state.inv_coeff_init_option else "heads"
    written |= {name: _from_one(getattr(state, name)) for name in ("layer", "head", "step")}
    if state.cell is not None:
        written["cell"] = f"{state.cell[0]},{state.cell[1]}"
    return "?" + urlencode({k: v for k, v in written.items() if v is not None}, safe=",", quote_via=quote), note


def parse(query: Mapping[str, str], examples: Mapping[str, Example], library: Library) -> tuple[ViewState, list[str]]:
    """What a link asks for, and a sentence for each parameter that makes no sense. Parameters not ours are let be."""
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "tab": ("tab", lambda x: check_choice("tab", x, TABS)),
        "task": ("task", lambda x: check_choice("task", x, TASKS)),
        "checkpoint": ("source", functools.partial(_read_source, library)),
        "example": ("example", lambda x: check_choice("example", x, list(examples))),
        "text": ("text", _read_text),
        "m": ("num_landmarks", lambda x: _read_integer("m", x, 1, current_limits().text_tokens)),
        "steps": ("pinv_iterations", lambda x: _read_integer("steps", x, 0, MAX_PINV_ITERATIONS)),
        "estimate": ("inv_coeff_init_option", lambda x: ESTIMATES[check_choice("estimate", x, list(ESTIMATES))]),
        "layer": ("layer", lambda x: _read_integer("layer", x, 1, 1_000) - 1),
        "head": ("head", lambda x: _read_integer("head", x, 1, 1_000) - 1),
        "cell": ("cell", _read_cell),
        "step": ("step", lambda x: _read_integer("step", x, 1, len(load_lessons())) - 1),
    }
    found: dict[str, Any] = {}
    refusals = []
    for name, (field, read) in readers.items():
        if name in query:
            try:
                found[field] = read(query[name])
            except UserError as refusal:
                # Without what came: the note is markup, and what came is whatever someone put into a link.
                refusals.append(f"The link's {str(refusal).partition(', got ')[0].rstrip('.')}.")
    return ViewState(**found), refusals


def copy_link(
    tab: str,
    task: str,
    source: str,
    text: str,
    num_landmarks: int,
    pinv_iterations: int,
    inv_coeff_init_option: bool,
    layer: int,
    head: int,
    step: int,
    cell: str,
) -> tuple[dict, str]:
    """The link's query for its text box, which it makes visible, and the note beside it."""
    pinned = _read_cell(cell) if cell else None
    state = ViewState(
        *(tab, task, source, None, text, num_landmarks, pinv_iterations, inv_coeff_init_option),
        *(layer, head, pinned, step),
    )
    query, note = query_of(state, load_examples())
    return gr.update(value=query, visible=True), note


def restore(library: Library, held: int, query: Mapping[str, str]) -> tuple[Any, ...]:
    """Every component that a link sets; what the link leaves out is skipped. held: the m that the page holds.

    Nothing is counted or loaded here: the change of the link's stamp leads to that, as any change of the bench does.
    """
    examples = load_examples()
    state, refusals = parse(query, examples, library)
    note = escape(" ".join(refusals), quote=False)
    sources = gr.update(choices=source_choices(library))  # those of now, not of the server's start
    if state == ViewState():
        return *(gr.skip(),) * 6, sources, *(gr.skip(),) * 8, note
    text, m = examples[state.example].text if state.example else state.text, state.num_landmarks
    return (
        fingerprint([repr(state)]),
        _or_skip(state.tab),
        _or_skip(state.tab),
        (BUNDLED, state.task) if state.task else gr.skip(),  # what stays where the link's checkpoint is refused
        _or_skip(m),
        _or_skip(state.task),
        gr.update(choices=source_choices(library), value=state.source) if state.source else sources,
        _or_skip(text),
        _or_skip(text),
        gr.skip() if m is None else slide(m, held, m),
        *(_or_skip(getattr(state, name)) for name in ("pinv_iterations", "inv_coeff_init_option", "layer", "head")),
        _or_skip(state.step),
        note,
    )


def _or_skip(value: Any) -> Any:
    return gr.skip() if value is None else value


def _from_one(index: int | None) -> int | None:
    return None if index is None else int(index) + 1


def _read_integer(name: str, text: str, low: int, high: int) -> int:
    return check_integer(name, int(text) if re.fullmatch(r"\d{1,9}", text) else text, low, high)


def _read_cell(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"\d{1,6},\d{1,6}", text):
        raise UserError("cell must be two whole numbers with a comma between, such as 3,9.")
    row, column = text.split(",")
    return int(row), int(column)


def _read_text(text: str) -> str:
    text = check_text("text", text, min(LINK_TEXT, current_limits().text_chars))
    if len(quote(text)) > LINK_TEXT:
        raise UserError(f"text must take at most {LINK_TEXT:,} characters, got {len(quote(text)):,}.")
    return text


def _read_source(library: Library, text: str) -> str:
    check_text("checkpoint", text, MAX_SOURCE_CHARS)
    if not library.offers(text):
        raise UserError("checkpoint is not among those that this server offers.")
    return text
