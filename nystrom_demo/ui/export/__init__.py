"""Figures that can be taken away: as a picture, as numbers, and as code that computes them again.

slot.py is the place of a figure on the page, with its caption, its sentence, its menu and its code. saving.js is what
the menus of all tabs share, drawing.js draws a part of the page again, buttons.html and menu.css are what menus have,
menu.js is that of a plotly figure, answer.js that of an answer of the Tasks tab. Pictures are made in the browser, so
that taking one away asks nothing of the server.
"""

from nystrom_demo.ui.export.slot import (
    DRAWING_JS,
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
    with_buttons,
)

__all__ = [
    "DRAWING_JS",
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
    "with_buttons",
]
