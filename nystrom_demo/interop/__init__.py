"""Landmark attention for transformers' own encoders, and this package's classes behind its Auto classes."""

from nystrom_demo.interop.attention import nystrom_attention_forward
from nystrom_demo.interop.auto_classes import register_auto_classes
from nystrom_demo.interop.hooks import register_attention
from nystrom_demo.interop.masks import nystrom_mask
from nystrom_demo.interop.support import Support, supports_nystrom

__all__ = [
    "Support",
    "nystrom_attention_forward",
    "nystrom_mask",
    "register_attention",
    "register_auto_classes",
    "supports_nystrom",
]
