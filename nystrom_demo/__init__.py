"""Nyströmformer: self-attention through landmarks, at a cost that grows with the text's length and not its square.

The package holds the attention as plain functions of tensors, the model with its five task heads as drop-ins for
transformers' classes and checkpoints, and `register_attention`, which brings landmark attention to any transformers
encoder. Importing it makes transformers' Auto classes and pipelines use these classes for Nyströmformer checkpoints.
"""

from nystrom_demo.attention import (
    NystromFactors,
    depthwise_convolution,
    iterative_pinv,
    nystrom_attention,
    nystrom_factors,
    segment_means,
    softmax_attention,
)
from nystrom_demo.config import AttentionSettings, NystromformerConfig
from nystrom_demo.heads import (
    NystromformerForMaskedLM,
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
    NystromformerForTokenClassification,
)
from nystrom_demo.interop import Support, register_attention, register_auto_classes, supports_nystrom
from nystrom_demo.model import NystromformerModel

__version__ = "0.2.0"

__all__ = [
    "AttentionSettings",
    "NystromFactors",
    "NystromformerConfig",
    "NystromformerForMaskedLM",
    "NystromformerForMultipleChoice",
    "NystromformerForQuestionAnswering",
    "NystromformerForSequenceClassification",
    "NystromformerForTokenClassification",
    "NystromformerModel",
    "Support",
    "depthwise_convolution",
    "iterative_pinv",
    "nystrom_attention",
    "nystrom_factors",
    "register_attention",
    "segment_means",
    "softmax_attention",
    "supports_nystrom",
]

register_auto_classes()
