"""What each tab is to the page: the inputs that it has, how it is filled, and what it says where it cannot be."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gradio.components import Component

from nystrom_demo.ui.state import ENTRIES, PageState

Values = dict[Component, Any]
EVERYTHING = frozenset(ENTRIES)
NO_TEXT = "There is no text yet. Type one, or pick an example, and it is shown here."


class View(NamedTuple):
    """A tab, built.

    show: what the tab shows of a state, piece by piece, the quick ones first; a ValueError of ours says why not. It is
    told which fields changed, so that what stands there may stay where it depends on none of them.
    refuse: the same place with a sentence instead. outputs: all that both may set. inputs: what the visitor sets here,
    by names that are fields of the state unless `FIELD_OF` says otherwise. busy: what shows that it is at work.
    needs_text: whether it shows nothing of an empty text.
    """

    show: Callable[[PageState, frozenset[str]], Iterable[Values]]
    refuse: Callable[[PageState, str], Values]
    outputs: Sequence[Component]
    inputs: Mapping[str, Component]
    busy: Component
    needs_text: bool = True


# Inputs that set a field of another name: a field may have more than one, and those of layer and head count from 1.
FIELD_OF = {
    "quick": "num_landmarks",
    "tasks_head": "task",
    "learn_layer": "layer",
    "learn_head": "head",
    "compare_layer": "layer",
    "compare_head": "head",
}


def wired(components: NamedTuple, **results: Any) -> Values:
    """Named results as gradio takes them: each under the component of its name."""
    return {getattr(components, name): result for name, result in results.items()}


def slotted(slot: NamedTuple, values: Sequence[Any]) -> Values:
    """A figure's place and what fills it."""
    return dict(zip(slot, values, strict=True))


def on_page(event: Callable, script: str) -> None:
    """Run a script when an event comes; the page's own doing, without a request."""
    event(None, None, None, js=script, api_visibility="private", trigger_mode="multiple")
