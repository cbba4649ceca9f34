"""Figures that can be taken away: as a picture, as numbers, and as code that computes them again.

slot.py is the place of a figure on the page, with its caption, its sentence, its menu and its code. Pictures are made
in the browser, by ui/web/export, so that taking one away asks nothing of the server.
"""

from nystrom_demo.ui.export.slot import (
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
