"""Which of transformers' models can attend by landmarks, told from their layers' own code."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType

import torch
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from nystrom_demo.config import NystromformerConfig
from nystrom_demo.interop.attention import BIASES

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
            model = AutoModel.from_config(model)
    if isinstance(model.config, NystromformerConfig):
        return Support(True)
    reason = unreachable(model) or _causal(model) or _biased(model)
    return Support(not reason, reason)


def unreachable(model: PreTrainedModel) -> str:
    """Why "nystrom" would change nothing, or not everything, in a model: "" where all its attention can be replaced."""
    name = type(model).__name__
    reached, own = False, ""
    for path, module in model.named_modules():
        reached = reached or asks_for_attention(type(module))
        if not own and _attends_by_itself(module) and "pool" not in path.lower():
            own = type(module).__name__
    if reached and not own:
        return ""
    own = own or next((type(module).__name__ for module in _attention_leaves(model)), "")
    if not own:
        return f"{name} has no attention that landmarks could take the place of."
    return f"{own} in {name} computes its attention itself and does not ask transformers for an implementation."


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


def _attention_leaves(model: PreTrainedModel) -> Iterator[torch.nn.Module]:
    """The innermost modules that are called an attention."""
    for module in model.modules():
        inner = (type(child).__name__.lower() for child in module.children())
        if "attention" in type(module).__name__.lower() and not any("attention" in name for name in inner):
            yield module


def _codes(module_class: type) -> Iterator[CodeType]:
    """The compiled methods of a layer's class as an object of it sees them, without those that torch gives to all."""
    for name in dir(module_class):
        method = inspect.getattr_static(module_class, name)
        method = inspect.unwrap(getattr(method, "__func__", method)) if callable(method) else method
        code = getattr(method, "__code__", None)
        if code is None or getattr(method, "__module__", "").startswith("torch.") or _is_general(method):
            continue
        waiting = [code]
        while waiting:
            code = waiting.pop()
            yield code
            waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _is_general(method) -> bool:
    return getattr(PreTrainedModel, method.__name__, None) is method


def _causal(model: PreTrainedModel) -> str:
    causal = [type(m).__name__ for m in _reached(model) if getattr(m, "is_causal", False)]
    names = {name for module in model.modules() for code in _codes(type(module)) for name in code.co_names}
    config = model.config.get_text_config()
    both_ways = getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True)
    if not causal and not both_ways and "create_causal_mask" in names and "create_bidirectional_mask" not in names:
        causal = [type(model).__name__]
    return f"{causal[0]} is causal, and landmarks are means over the whole text." if causal else ""


def _biased(model: PreTrainedModel) -> str:
    """A bias to the scores, which landmark attention cannot apply: asked for by name, or held as a table."""
    for module in _reached(model):
        asked = {name for code in _codes(type(module)) for names in code.co_consts if isinstance(names, tuple) for name in names}
        for bias in BIASES[:1]:
            if bias in asked:
                return f"{type(module).__name__} adds a {bias} to its scores, which landmarks cannot stand for."
    for path, module in model.named_modules():
        if "relativepositionbias" in type(module).__name__.lower():
            return f"{type(module).__name__} adds a bias to the scores, which landmarks cannot stand for."
    return ""


def _reached(model: PreTrainedModel) -> Iterator[torch.nn.Module]:
    return (module for module in model.modules() if asks_for_attention(type(module)))
