"""Figures that can be taken away: as a picture, as numbers, and as code that computes them again.

slot.py is the place of a figure on the page, with its caption, its sentence, its menu and its code. saving.js is what
the menus of all tabs share, menu.html and .css what they look like, menu.js is that of a plotly figure and answer.js
that of an answer of the Tasks tab. Pictures are made in the browser,
so that taking one away asks nothing of the server.
"""

from nystrom_demo.ui.takeaway.slot import (
    MENU_CSS,
    SAVING_JS,
    SKIPPED,
    Slot,
    answer_menu,
    code_section,
    emptied,
    figure_slot,
    filled,
    note,
    show_when_unfolded,
)

__all__ = [
    "MENU_CSS",
    "SAVING_JS",
    "SKIPPED",
    "Slot",
    "answer_menu",
    "code_section",
    "emptied",
    "figure_slot",
    "filled",
    "note",
    "show_when_unfolded",
]
