"""This package's classes behind transformers' Auto classes."""

import transformers
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from nystrom_demo import heads
from nystrom_demo.config import NystromformerConfig


def register_auto_classes() -> None:
    """Let transformers' Auto classes and `pipeline` build this package's classes for `model_type` "nystromformer".

    Every Auto class that knows transformers' own Nyströmformer gets ours in its place, for our configurations and for
    transformers'.
    """
    AutoConfig.register("nystromformer", NystromformerConfig, exist_ok=True)
    auto_classes = (each for each in vars(modeling_auto).values() if isinstance(each, type))
    for auto_class in auto_classes:
        mapping = getattr(auto_class, "_model_mapping", None)
        name = None if mapping is None else mapping._model_mapping.get("nystromformer")
        if name is not None:
            for config_class in (NystromformerConfig, transformers.NystromformerConfig):
                auto_class.register(config_class, getattr(heads, name), exist_ok=True)
