"""`register_attention`: where "nystrom" enters transformers.

Two of its registers take an attention function and a mask function. They are asked by name alone, without the model, so
a model that never asks would keep its exact attention in silence: five methods of transformers are therefore wrapped,
here and nowhere else, each to act on the names registered here only. They can go when transformers lets an
implementation see the model that chooses it.
"""

import sys
from collections.abc import Iterator
from functools import wraps

from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from nystrom_demo.approximations import get
from nystrom_demo.interop.attention import nystrom_attention_forward
from nystrom_demo.interop.masks import nystrom_mask
from nystrom_demo.interop.support import table_of_classes, unreachable
from nystrom_demo.model import NystromformerPreTrainedModel

_NAMES: set[str] = set()  # what is registered, so that nothing else is acted on


def register_attention(name: str = "nystrom") -> None:
    """Make `attn_implementation=name` mean landmark attention in every transformers encoder that can have it.

    name: "nystrom", or another of `nystrom_demo.approximations`, whose budget `config.num_landmarks` then is.
    It takes m from `config.num_landmarks` (64 where the config has none), and `config.pinv_iterations` and
    `config.inv_coeff_init_option` likewise; `num_landmarks` may also be given to a call. Layers with a sliding window
    keep their own attention. A model of which some attention would stay as it is gets a ValueError that names the
    layer, at loading and by `set_attn_implementation`; causal models, masks that differ from query to query,
    cross-attention and biases to the scores get one when they are called. `supports_nystrom` tells beforehand.
    Attention dropout is not applied: landmark attention has no single matrix of weights to drop from. Calling it again
    changes nothing.
    """
    get(name)  # a ValueError for a name that there is not
    AttentionInterface.register(name, nystrom_attention_forward)
    AttentionMaskInterface.register(name, nystrom_mask)
    _NAMES.add(name)
    if not hasattr(PreTrainedModel.post_init, "__wrapped__"):
        PreTrainedModel.get_correct_attn_implementation = _refusing_choice(
            PreTrainedModel.get_correct_attn_implementation
        )
        PreTrainedModel.post_init = _refusing_post_init(PreTrainedModel.post_init)
        PreTrainedModel.set_attn_implementation = _refusing_setter(PreTrainedModel.set_attn_implementation)
        _let_maps_be_asked_for_at_loading()


def _refusing_choice(get_correct_attn_implementation):
    @wraps(get_correct_attn_implementation)
    def refusing(self, requested_attention, *args, **kwargs):
        if requested_attention in _NAMES:
            _refuse(requested_attention, table_of_classes(type(self)))
        return get_correct_attn_implementation(self, requested_attention, *args, **kwargs)

    return refusing


def _refusing_post_init(post_init):
    @wraps(post_init)
    def refusing(self):
        post_init(self)
        name = self.config._attn_implementation
        if name in _NAMES and not _is_being_built_in_another(self):
            _refuse_unreachable(self, name)

    return refusing


def _is_being_built_in_another(model: PreTrainedModel) -> bool:
    """Whether a model is part of one whose constructor still runs: the whole is judged then, in which a part may have
    no attention of tokens at all."""
    frame = sys._getframe()
    while frame is not None:
        builder = frame.f_locals.get("self") if frame.f_code.co_name == "__init__" else None
        if isinstance(builder, PreTrainedModel) and builder is not model:
            return True
        frame = frame.f_back
    return False


def _refusing_setter(set_attn_implementation):
    @wraps(set_attn_implementation)
    def refusing(self, attn_implementation, *args, **kwargs):
        for model, name in _asked(self, attn_implementation):
            _refuse_unreachable(model, name)
        return set_attn_implementation(self, attn_implementation, *args, **kwargs)

    return refusing


def _asked(model: PreTrainedModel, implementation: str | dict | None) -> Iterator[tuple[PreTrainedModel, str]]:
    """The models to which a choice, one for all or one for each part's configuration, gives a registered attention."""
    if isinstance(implementation, dict):
        for key, choice in implementation.items():
            config = getattr(model.config, key) if key else model.config
            parts = (part for part in model.modules() if getattr(part, "config", None) is config)
            yield from _asked(next((part for part in parts if isinstance(part, PreTrainedModel)), model), choice)
    elif implementation in _NAMES:
        yield model, implementation


def _refuse_unreachable(model: PreTrainedModel, name: str) -> None:
    if not isinstance(model, NystromformerPreTrainedModel):
        _refuse(name, unreachable(model))


def _refuse(name: str, reason: str) -> None:
    if reason:
        raise ValueError(f'attn_implementation="{name}" cannot be used here: {reason}')


def _let_maps_be_asked_for_at_loading() -> None:
    """`output_attentions` in a configuration is for "eager" alone in transformers; here "nystrom" gives maps too."""
    given, validate = PreTrainedConfig.output_attentions, PreTrainedConfig.validate_output_attentions

    def set_output_attentions(self, value):
        if self._attn_implementation in _NAMES:
            self._output_attentions = value
        else:
            given.fset(self, value)

    @wraps(validate)
    def validate_output_attentions(self):
        if self._attn_implementation not in _NAMES:
            validate(self)

    PreTrainedConfig.output_attentions = property(given.fget, set_output_attentions, doc=given.__doc__)
    PreTrainedConfig.validate_output_attentions = validate_output_attentions
    for config_class in _with_subclasses(PreTrainedConfig):  # each keeps a list of its checks from when it was made
        checks = vars(config_class).get("__class_validators__", [])
        checks[:] = [validate_output_attentions if check is validate else check for check in checks]


def _with_subclasses(of: type) -> Iterator[type]:
    yield of
    for subclass in of.__subclasses__():
        yield from _with_subclasses(subclass)
