"""The page's state as a link and back: all of it in the address's fragment, which browsers send to no server.

What a link leaves out is as on a new page; what it says wrong is refused in a sentence, and the rest holds. Links of
before had the same parameters in the query, and are read as well.
"""

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

import gradio as gr

from nystrom_demo.checkpoints import Library
from nystrom_demo.errors import UserError
from nystrom_demo.ui.examples import Example, example_of
from nystrom_demo.ui.state import ENTRIES, PageState

LINK_TEXT = 4_000  # characters of a text as a link writes it; longer addresses are cut by mail and chat programs
NEVER_LEFT_OUT = ("tab", "task", "num_landmarks", "pinv_iterations", "inv_coeff_init_option", "layer", "head", "step")
TEXTS = ("text", "question", "choices_question", "options")


class Permalink(NamedTuple):
    """The sidebar's button, what it copied, and a word on what the link leaves out."""

    button: gr.Button
    link: gr.Textbox
    note: gr.HTML


def build_permalink() -> Permalink:
    """The components, inside the current layout."""
    button = gr.Button("Copy link", size="sm", elem_id="permalink-copy")
    link = gr.Textbox(
        "", label="Link", show_label=False, max_lines=1, visible=False, interactive=False, elem_id="permalink-link"
    )
    return Permalink(button, link, gr.HTML("", elem_id="permalink-note"))


def write_link(state: PageState, examples: Mapping[str, Example]) -> tuple[str, str]:
    """The link's fragment without "#", and a sentence on what it cannot carry, or "".

    The text goes by its example's name where it is one unedited, and question and options only where they are the
    visitor's own.
    """
    example = example_of(state.resolved(examples).text, dict(examples))
    state = replace(state, text=None if example else state.text, example=example.name if example else None)
    plain, written, too_long = PageState(), {}, []
    for name, entry in ENTRIES.items():
        value = getattr(state, name)
        if value is None or (value == getattr(plain, name) and name not in NEVER_LEFT_OUT):
            continue
        said = entry.kind.write(value)
        if name in TEXTS and len(quote(said)) > LINK_TEXT:
            too_long.append((entry.called, len(quote(said))))
        else:
            written[entry.link] = said
    return urlencode(written, safe=",", quote_via=quote), " ".join(_too_long(*each) for each in too_long)


def _too_long(called: str, characters: int) -> str:
    return (
        f"The {called} would take {characters:,} characters and a link carries {LINK_TEXT:,}, so this one restores all "
        f"but the {called}."
    )


def read_link(link: str, library: Library) -> tuple[PageState, list[str]]:
    """What a link (its fragment, or its query of before) asks for, and a sentence for each parameter that is wrong.

    Parameters that are not ours are let be.
    """
    query = dict(parse_qsl(link.lstrip("#?"), keep_blank_values=True))
    found, refusals = {}, []
    for name, entry in ENTRIES.items():
        if entry.link not in query:
            continue
        try:
            found[name] = entry.kind.check(entry.link, entry.kind.read(query[entry.link]))
            _check_for_link(name, found[name], library)
        except UserError as refusal:
            found.pop(name, None)
            # Without what came: the note is markup, and what came is whatever someone put into a link.
            refusals.append(f"The link's {str(refusal).partition(', got ')[0].rstrip('.')}.")
    if "example" in found:  # it goes before a text beside it
        found.pop("text", None)
    return PageState(**found), refusals


def _check_for_link(name: str, value: object, library: Library) -> None:
    if name in TEXTS and len(quote(str(value))) > LINK_TEXT:
        raise UserError(f"{ENTRIES[name].link} must take at most {LINK_TEXT:,} characters.")
    if name == "source" and not library.offers(str(value)):
        raise UserError("checkpoint is not among those that this server offers.")
    if name == "device" and value not in library.devices:
        raise UserError("device is not among those that this server has.")


def as_note(sentences: list[str]) -> str:
    """Sentences for the note, as markup."""
    return escape(" ".join(sentences), quote=False)
