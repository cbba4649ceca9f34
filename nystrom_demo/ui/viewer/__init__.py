"""The matrix viewer: exact, landmark and difference maps of one head, and a mosaic of all heads, drawn in the browser.

payload.py, tokens.py and words.py say what is sent, code.py how to compute it elsewhere, components.py loads the front
end, ui/web/viewer, into gradio. A hover, a zoom and every option stay in the browser.
"""

from nystrom_demo.ui.viewer.code import code_for_head
from nystrom_demo.ui.viewer.components import chosen_head, head_viewer, mosaic
from nystrom_demo.ui.viewer.payload import head_payload, mosaic_payload
from nystrom_demo.ui.viewer.tokens import ShownToken, shown_tokens

__all__ = [
    "ShownToken",
    "chosen_head",
    "code_for_head",
    "head_payload",
    "head_viewer",
    "mosaic",
    "mosaic_payload",
    "shown_tokens",
]
