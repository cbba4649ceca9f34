"""The tour's two components, which ui/web/tour draws, and what they are sent."""

from nystrom_demo.ui.learn.components import picture_view, text_view
from nystrom_demo.ui.learn.payload import picture_payload, text_payload

__all__ = ["picture_payload", "picture_view", "text_payload", "text_view"]
