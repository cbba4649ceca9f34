"""A request of the page as the server understands it: what it asks for, and the settled state that is shown.

Settled means: checkpoint loaded, text counted, m and head brought within them.
"""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.checkpoints import BUNDLED, Checkpoint, CheckpointError, Library
from nystrom_demo.errors import UserError
from nystrom_demo.limits.validation import check_choice, check_integer, check_switch, check_text
from nystrom_demo.tasks import TASKS
from nystrom_demo.ui.examples import Example, load_examples
from nystrom_demo.ui.permalink import read_link
from nystrom_demo.ui.readout import TextSize, count_tokens
from nystrom_demo.ui.sidebar import head_within, heads_of
from nystrom_demo.ui.state import ENTRIES, MAX_SOURCE_CHARS, PageState, checked
from nystrom_demo.ui.view import EVERYTHING

MAX_LINK_CHARS = 20_000
NOT_OURS = "The page's request is not one of this app's; reload the page."


class Served(NamedTuple):
    """What answered a page last: checkpoint and task, and the example whose text the page was given."""

    source: str
    task: str
    example: str | None = None


class Asked(NamedTuple):
    """A request.

    held: what the page's inputs hold. cleaned: whether the text is not as it was typed, since the check makes blanks of
    some characters. changed: by which fields the state differs from what the open tab shows. link: of a page that opens
    on one. restored: after a reload.
    """

    stamp: int
    state: PageState
    served: Served
    held: Mapping[str, Any]
    cleaned: bool = False
    changed: frozenset[str] = EVERYTHING
    link: str = ""
    restored: bool = False

    @property
    def anew(self) -> bool:
        """Whether every input of the page has to be set."""
        return bool(self.link) or self.restored


@dataclass(frozen=True)
class Settled:
    """What a request came to.

    chosen: the state as the page keeps it, with the m that was chosen. state: the same as tabs show it: text, question
    and options written out, m within the text. notes: on what a link says wrong.
    """

    chosen: PageState
    state: PageState
    checkpoint: Checkpoint
    size: TextSize
    reverted: bool
    notes: tuple[str, ...] = ()


def read_request(request: str) -> Asked:
    """The request of a page. ValueError, in one sentence, for one that no page of ours sends."""
    try:
        told = json.loads(request)
        served = dict(told["served"])
    except (TypeError, ValueError, KeyError):
        raise UserError(NOT_OURS) from None
    sent = read_state(request)
    held, state = told.get("held"), checked(sent)
    link = check_text("link", told.get("link", ""), MAX_LINK_CHARS, empty=True)
    restored = check_switch("restored", told.get("restored", False))
    # What a page says of changes is of the tab that it had open, and a link or a reload may open another.
    changed = ENTRIES if link or restored else told.get("changed", ENTRIES)
    example = served.get("example")
    if not isinstance(changed, list | dict) or not isinstance(example, str | None):
        raise UserError(NOT_OURS)
    return Asked(
        check_integer("stamp", told.get("stamp"), 1, 2**31),
        state,
        Served(
            check_text("checkpoint", served.get("source"), MAX_SOURCE_CHARS),
            check_choice("task", served.get("task"), list(TASKS)),
            example,
        ),
        held if isinstance(held, dict) else {},
        state.text != sent.get("text"),
        frozenset(name for name in ENTRIES if name in changed),
        link,
        restored,
    )


def settle(library: Library, examples: Mapping[str, Example], asked: Asked) -> Settled:
    """The state that is shown. A checkpoint that is refused is said in a sentence, and the one that served stays."""
    chosen, notes = asked.state, []
    if asked.link:
        chosen, notes = read_link(asked.link, library)
        chosen = chosen if "device=" in asked.link else replace(chosen, device=library.devices[0])
    chosen, checkpoint, reverted = _with_checkpoint(library, chosen, asked.served)
    layer, head = head_within(heads_of(checkpoint), chosen.layer, chosen.head)
    chosen = replace(chosen, layer=layer, head=head)
    state, size = _shown(chosen, examples, checkpoint)
    return Settled(chosen, state, checkpoint, size, reverted, tuple(notes))


def _shown(chosen: PageState, examples: Mapping[str, Example], checkpoint: Checkpoint) -> tuple[PageState, TextSize]:
    """The chosen state with its text written out and m within it, and that text's size."""
    state = chosen.resolved(examples)
    size = TextSize(count_tokens(checkpoint, state.text), checkpoint.max_tokens)
    return replace(state, num_landmarks=min(chosen.num_landmarks or size.seen, size.seen)), size


def _with_checkpoint(library: Library, state: PageState, served: Served) -> tuple[PageState, Checkpoint, bool]:
    """(state, its checkpoint, whether another one than asked for): what is refused gives way to what served last."""
    check_choice("device", state.device, library.devices)
    ways = [(state.source, state.task), (served.source, served.task), (BUNDLED, state.task)]
    for tried, (source, task) in enumerate(ways):
        try:
            checkpoint = library.load(source, task, state.device)
        except CheckpointError as refusal:
            gr.Warning(html.escape(str(refusal), quote=False))  # it draws markup, if only what it holds to be harmless
        else:
            return replace(state, source=source, task=task), checkpoint, tried > 0
    raise CheckpointError("No checkpoint answers here.")


def shown_state(library: Library, request: str) -> PageState:
    """The state that a page holds, as its tabs show it. ValueError, in one sentence, for what is not one."""
    state = checked(read_state(request))
    check_choice("device", state.device, library.devices)
    return _shown(state, load_examples(), state.checkpoint(library))[0]


def read_state(request: str) -> dict[str, Any]:
    """The fields of the state in what a page sends, not yet checked."""
    try:
        return dict(json.loads(request)["state"])
    except (TypeError, ValueError, KeyError):
        raise UserError(NOT_OURS) from None
