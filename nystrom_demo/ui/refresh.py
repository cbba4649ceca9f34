"""One request of the page: the state that it asks for is settled, then the open tab is filled, piece by piece.

The answer carries the stamp of its request; once a page has asked anew, what it asked for before is not computed any
further.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.checkpoints import Library
from nystrom_demo.errors import UserError
from nystrom_demo.ui.examples import Example
from nystrom_demo.ui.permalink import as_note
from nystrom_demo.ui.readout import checkpoint_line, describe, new_head_notice
from nystrom_demo.ui.request import Asked, Served, Settled, read_request, settle
from nystrom_demo.ui.sidebar import QUICK_LANDMARKS, Sidebar, heads_of, source_choices
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.view import EVERYTHING, FIELD_OF, NO_TEXT, Values, View


class Latest:
    """The stamp of a page's last request; each page has its own, in a gr.State."""

    def __init__(self) -> None:
        self.stamp = 0


class Page(NamedTuple):
    """The page's parts as a request needs them."""

    library: Library
    examples: Mapping[str, Example]
    sidebar: Sidebar
    views: Mapping[str, View]
    store: gr.HTML

    @property
    def inputs(self) -> dict[str, Any]:
        """Every input of the page by name."""
        return self.sidebar.inputs | {name: each for view in self.views.values() for name, each in view.inputs.items()}


def refresh(page: Page, request: str, latest: Latest) -> Iterator[Values]:
    """What the page shows after a request: the sidebar at once, then the open tab. Each piece has all so far in it, as
    a page that is behind takes up the last one alone."""
    asked = read_request(request)
    latest.stamp = max(latest.stamp, asked.stamp)
    settled = settle(page.library, page.examples, asked)
    values = sidebar_values(page, asked, settled)
    answer = functools.partial(write_answer, asked, settled, input_updates(page, asked, settled))
    yield values | {page.store: answer()}
    for piece in fill(page.views[settled.state.tab], settled.state, asked.changed):
        if latest.stamp > asked.stamp:
            return
        values |= piece
        yield values | {page.store: answer(filled=True)}
    yield values | {page.store: answer(filled=True, done=True)}


def fill(view: View, state: PageState, changed: frozenset[str] = EVERYTHING) -> Iterator[Values]:
    """The tab's pieces, or the sentence that says why there are none."""
    if view.needs_text and not state.text.strip():
        yield view.refuse(state, NO_TEXT)
        return
    try:
        yield from view.show(state, changed)
    except UserError as error:
        yield view.refuse(state, str(error))


def input_updates(page: Page, asked: Asked, settled: Settled) -> dict[str, dict[str, Any]]:
    """What inputs have to hold and do not, by name, and their ranges and captions.

    What the visitor has just set is left alone.
    """
    checkpoint = settled.checkpoint
    layers, heads = heads_of(checkpoint)
    updates: dict[str, dict[str, Any]] = {
        "num_landmarks": {"maximum": settled.size.seen},
        "task": {"info": checkpoint_line(checkpoint)},
    }
    for tab in ("learn", "compare"):
        updates |= {f"{tab}_layer": {"maximum": max(layers, 2)}, f"{tab}_head": {"maximum": max(heads, 2)}}
    if asked.anew:  # the choices of now, not of the server's start
        updates["source"] = {"choices": [[name, name] for name in source_choices(page.library)]}
    for name in page.inputs:
        value = input_value(name, settled)
        stands = asked.held.get(name) == value
        if name == "text":
            own = settled.chosen.text is not None
            stands = not asked.cleaned if own else asked.served.example == settled.state.example
        if asked.anew or not stands:
            updates.setdefault(name, {})["value"] = value
    return {name: update for name, update in updates.items() if name in page.inputs}


def input_value(name: str, settled: Settled) -> Any:
    """What an input holds."""
    if name == "quick":
        return settled.chosen.num_landmarks if settled.chosen.num_landmarks in QUICK_LANDMARKS else None
    field = FIELD_OF.get(name, name)
    value = getattr(settled.state, field)
    if field in ("layer", "head"):
        return value + 1
    return list(value) if isinstance(value, tuple) else value


def sidebar_values(page: Page, asked: Asked, settled: Settled) -> Values:
    """What the sidebar says of text, checkpoint and link."""
    sidebar, notice = page.sidebar, new_head_notice(settled.checkpoint)
    values = {
        sidebar.readout: describe(settled.size, settled.state.num_landmarks),
        sidebar.notice: gr.update(value=notice, visible=bool(notice)),
    }
    return values | ({sidebar.permalink.note: as_note(list(settled.notes))} if asked.link else {})


def write_answer(
    asked: Asked,
    settled: Settled,
    updates: Mapping[str, Mapping[str, Any]],
    *,
    filled: bool = False,
    done: bool = False,
) -> str:
    """What the page is told of its request, as JSON: what changed of its state, and what becomes of its inputs."""
    before, after = asdict(asked.state), asdict(settled.chosen)
    before |= {"text": None} if asked.cleaned else {}
    answer = {
        "stamp": asked.stamp,
        "state": {name: value for name, value in after.items() if asked.anew or before[name] != value},
        "inputs": updates,
        "seen": settled.size.seen,
        "served": Served(settled.chosen.source, settled.chosen.task, settled.state.example)._asdict(),
        "filled": filled,
        "done": done,
    }
    return json.dumps(answer).replace("<", "\\u003c")  # gradio would take a visitor's text for a script tag
