"""Which of transformers' models can attend by landmarks, told from their layers' own code."""

import copy
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType

import torch
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from nystrom_demo.interop.attention import BIASES
from nystrom_demo.model import NystromformerPreTrainedModel

# What a layer passes to its attention function, or holds, that shows its scores or its keys to be of another kind.
_TELLTALES = {bias: f"adds a {bias} to its scores" for bias in BIASES}
_TELLTALES |= dict.fromkeys(("relative", "rel_pos"), "adds a bias by relative position to its scores")
_TELLTALES["sequence_reduction"] = "attends to fewer keys than it has queries"
_WEIGHING = {"softmax", "Softmax", "scaled_dot_product_attention", "multi_head_attention_forward"}


@dataclass(frozen=True)
class Support:
    """Whether a model can attend by landmarks, true or false as a condition; `reason` says why not, else it is ""."""

    supported: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.supported


def supports_nystrom(model: PreTrainedModel | PreTrainedConfig) -> Support:
    """Whether `attn_implementation="nystrom"` gives this model, or the base model of this configuration, landmarks.

    Told from the code of its layers, so that no weights are read and nothing is computed. A model that is supported
    runs landmark attention with padding masked in every layer that looks at all tokens; its local layers keep their
    own attention. What only a call can show, such as a mask that differs from query to query, is refused by that call.
    """
    if isinstance(model, PreTrainedConfig):
        with torch.device("meta"):
            model = AutoModel.from_config(copy.deepcopy(model), attn_implementation="eager")
    if isinstance(model, NystromformerPreTrainedModel):
        return Support(True)
    reason = table_of_classes(type(model)) or unreachable(model) or _causal(model) or _biased(model)
    return Support(not reason, reason)


def unreachable(model: PreTrainedModel) -> str:
    """Why "nystrom" would change nothing, or not everything, in a model: "" where all its attention can be replaced.

    Attention that pools the tokens into one vector is no self-attention and may stay as it is.
    """
    name = type(model).__name__
    layers = list(_outside_pooling(model))
    own = [type(layer).__name__ for layer in layers if _attends_by_itself(layer)]
    if not own and any(asks_for_attention(type(layer)) for layer in layers):
        return ""
    own = own or [type(layer).__name__ for layer in layers if _is_innermost_attention(layer)]
    if not own:
        return f"{name} has no attention that landmarks could take the place of."
    return f"{own[0]} in {name} computes its attention itself and does not ask transformers for an implementation."


def table_of_classes(model_class: type) -> str:
    """Why a model's class could not even be built with "nystrom": it looks its layers up by the attention's name."""
    names = getattr(sys.modules.get(model_class.__module__), "__dict__", {})
    table = next((name for name in names if name.endswith("ATTENTION_CLASSES")), "")
    return f"{model_class.__name__} takes its layers from {table}, by names that transformers knows." if table else ""


def _outside_pooling(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """A module and those within it, but for what is called pooling."""
    yield module
    for name, child in module.named_children():
        if "pool" not in f"{name} {type(child).__name__}".lower():
            yield from _outside_pooling(child)


@cache
def asks_for_attention(module_class: type) -> bool:
    """Whether a layer gets its attention function from transformers' attention interface."""
    return any("ALL_ATTENTION_FUNCTIONS" in code.co_names for code in _codes(module_class))


def _attends_by_itself(module: torch.nn.Module) -> bool:
    if isinstance(module, torch.nn.MultiheadAttention):
        return True
    return "attention" in type(module).__name__.lower() and _weighs(type(module))


@cache
def _weighs(module_class: type) -> bool:
    """Whether a layer makes weights of scores in code of its own."""
    found = any(not _WEIGHING.isdisjoint(code.co_names) for code in _codes(module_class))
    return found and not asks_for_attention(module_class)


def _is_innermost_attention(module: torch.nn.Module) -> bool:
    names = [type(each).__name__.lower() for each in (module, *module.children())]
    return "attention" in names[0] and not any("attention" in name for name in names[1:])


def _codes(module_class: type) -> Iterator[CodeType]:
    """The compiled methods of a layer's class as its objects see them, without those that every model has."""
    for name in dir(module_class):
        method = inspect.getattr_static(module_class, name)
        if not inspect.isfunction(method) or method is inspect.getattr_static(PreTrainedModel, name, None):
            continue
        waiting = [inspect.unwrap(method).__code__]
        while waiting:
            code = waiting.pop()
            yield code
            waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _causal(model: PreTrainedModel) -> str:
    causal = [type(m).__name__ for m in _reached(model) if getattr(m, "is_causal", False)]
    names = {name for module in model.modules() for code in _codes(type(module)) for name in code.co_names}
    config = model.config.get_text_config()
    both_ways = getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True)
    if not causal and not both_ways and "create_causal_mask" in names and "create_bidirectional_mask" not in names:
        causal = [type(model).__name__]
    return f"{causal[0]} is causal, and landmarks are means over the whole text." if causal else ""


def _biased(model: PreTrainedModel) -> str:
    """What a layer does to its scores or keys that landmarks cannot stand for, by names of what it passes or holds."""
    for layer in _reached(model):
        passed = {
            name
            for code in _codes(type(layer))
            for names in code.co_consts
            if isinstance(names, tuple)
            for name in names
        }
        held = " ".join(name for name, _ in (*layer.named_parameters(), *layer.named_modules()))
        for telltale, what in _TELLTALES.items():
            if telltale in passed or telltale in held:
                return f"{type(layer).__name__} {what}, which landmarks cannot stand for."
    return ""


def _reached(model: PreTrainedModel) -> Iterator[torch.nn.Module]:
    return (layer for layer in _outside_pooling(model) if asks_for_attention(type(layer)))
