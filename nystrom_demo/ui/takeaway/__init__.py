"""Figures that can be taken away: as a picture, as numbers, and as code that computes them again.

slot.py is the place of a figure on the page, with its caption, its sentence, its menu and its code. saving.js is what
the menus of all tabs share, menu.html, .css and .js are the menu of a plotly figure. Pictures are made in the browser,
so that taking one away asks nothing of the server.
"""

from nystrom_demo.ui.takeaway.slot import (
    MENU_CSS,
    SAVING_JS,
    SKIPPED,
    Slot,
    code_section,
    emptied,
    figure_slot,
    filled,
    note,
)

__all__ = ["MENU_CSS", "SAVING_JS", "SKIPPED", "Slot", "code_section", "emptied", "figure_slot", "filled", "note"]
