"""What is measured: each method of attention as a call without arguments, for one workload at one length.

Attention alone gets q, k and v as a projection leaves them, so that the projections, which all methods share, are not
in the figure. Landmark methods include the convolution of v, which is part of them; exact softmax has none.
The whole model is an encoder of the same width with random weights: time does not depend on what they say.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedModel

from nystrom_demo.attention import (
    PINV_ITERATIONS,
    nystrom_attention,
    softmax_attention,
    softmax_attention_map,
)
from nystrom_demo.benchmark.counts import HeadCounts
from nystrom_demo.config import AttentionSettings, NystromformerConfig
from nystrom_demo.model import NystromformerModel

Call = Callable[[], object]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workload:
    """What each method is asked to do, at every length.

    num_layers: 0 for attention alone, otherwise the whole model with that many layers.
    backward: forward and backward instead of forward alone.
    gradient_checkpointing: in the whole model's backward, layers are computed again instead of remembered.
    """

    num_landmarks: int = 64
    heads: int = 12
    head_dim: int = 64
    batch: int = 1
    num_layers: int = 0
    conv_kernel_size: int | None = 65
    backward: bool = False
    gradient_checkpointing: bool = False
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU

    def __post_init__(self):
        for name, least in (("num_landmarks", 1), ("heads", 1), ("head_dim", 1), ("batch", 1), ("num_layers", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
        if self.conv_kernel_size is not None and (self.conv_kernel_size < 1 or self.conv_kernel_size % 2 == 0):
            raise ValueError(f"conv_kernel_size must be an odd number or None, got {self.conv_kernel_size}.")

    @property
    def hidden_size(self) -> int:
        return self.heads * self.head_dim


@dataclass(frozen=True)
class Method:
    """A way to attend. `growth` is the power of n that its cost has in the end; `refuses` says why it cannot run."""

    name: str
    growth: int
    prepare: Callable[[Workload, int], Call]
    refuses: Callable[[Workload, int], str] = lambda workload, n: ""


def attention_inputs(workload: Workload, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random q, k, v (batch, heads, n, head_dim), with the strides of a projection's output (batch, n, hidden_size)."""
    generator = torch.Generator().manual_seed(n)
    shape = (workload.batch, n, workload.heads, workload.head_dim)
    made = (torch.randn(shape, generator=generator) for _ in range(3))
    return tuple(x.to(workload.device, workload.dtype).transpose(1, 2) for x in made)


def attention_call(
    workload: Workload, attend: Callable[..., torch.Tensor], inputs: tuple[torch.Tensor, ...], weights: tuple = ()
) -> Call:
    """The call of attend(*inputs); where the workload asks for it, with the gradients of inputs and weights."""
    if not workload.backward:
        return torch.no_grad()(lambda: attend(*inputs))
    leaves = tuple(x.requires_grad_() for x in (*inputs, *weights))

    def forward_and_backward():
        output = attend(*inputs)
        return torch.autograd.grad(output, leaves, torch.ones_like(output))

    return forward_and_backward


def model_call(workload: Workload, n: int, model: PreTrainedModel, **options) -> Call:
    """The call of a whole model on n random tokens a row, with its backward pass where the workload asks for it."""
    model = model.to(workload.device, workload.dtype).train(workload.backward)
    if workload.gradient_checkpointing:
        model.activation_checkpointing_enable()
    generator = torch.Generator().manual_seed(n)
    ids = torch.randint(3, model.config.vocab_size, (workload.batch, n), generator=generator).to(workload.device)
    if not workload.backward:
        return torch.no_grad()(lambda: model(ids, **options)[0])

    def forward_and_backward():
        output = model(ids, **options)[0]
        output.backward(torch.ones_like(output))
        model.zero_grad(set_to_none=True)

    return forward_and_backward


def model_settings(workload: Workload, n: int) -> dict[str, object]:
    """The configuration fields of a BERT-shaped encoder of the workload's width, whichever its class."""
    return {
        "vocab_size": 1000,  # a lookup costs the same in a table of any length
        "hidden_size": workload.hidden_size,
        "num_hidden_layers": workload.num_layers,
        "num_attention_heads": workload.heads,
        "intermediate_size": 4 * workload.hidden_size,
        "max_position_embeddings": n,
        # Dropout of the attention matrix would take SDPA off its fast path, and landmark methods have none.
        "attention_probs_dropout_prob": 0.0,
    }


def nystromformer(workload: Workload, n: int) -> NystromformerModel:
    settings = model_settings(workload, n)
    return NystromformerModel(NystromformerConfig(**settings, conv_kernel_size=workload.conv_kernel_size))


def transformers_nystromformer(workload: Workload, n: int, segment_means_seq_len: int) -> PreTrainedModel:
    """transformers' own model: exact where segment_means_seq_len is num_landmarks (its default), else landmarks."""
    from transformers.models.nystromformer import modeling_nystromformer as theirs  # only who compares loads it

    config = theirs.NystromformerPreTrainedModel.config_class(
        **model_settings(workload, n),
        conv_kernel_size=workload.conv_kernel_size or 65,
        num_landmarks=workload.num_landmarks,
        segment_means_seq_len=segment_means_seq_len,
    )
    model = theirs.NystromformerModel(config)
    if workload.conv_kernel_size is None:  # the configuration refuses None, the modules know it
        for layer in model.encoder.layer:
            layer.attention.self.conv_kernel_size = None
    return model


class _Given(nn.Module):
    """Stands in for a projection: gives what it was made with, whatever comes."""

    def __init__(self, x: torch.Tensor):
        super().__init__()
        self.x = x

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.x


def transformers_attention(workload: Workload, n: int, segment_means_seq_len: int) -> Call:
    """transformers' self-attention module, its projections replaced by q, k and v themselves."""
    model = transformers_nystromformer(replace(workload, num_layers=1), 1, segment_means_seq_len)
    module = model.encoder.layer[0].attention.self.to(workload.device, workload.dtype)
    module.query = module.key = module.value = None
    weights = () if workload.conv_kernel_size is None else (module.conv.weight,)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        module.query, module.key, module.value = (_Given(x.transpose(1, 2).flatten(2)) for x in (q, k, v))  # views
        return module(module.query.x)[0]

    return attention_call(workload, attend, attention_inputs(workload, n), weights)


def landmark_attention(workload: Workload, n: int) -> Call:
    """Ours: landmark attention and the convolution residual."""
    inputs = attention_inputs(workload, n)
    if workload.conv_kernel_size is None:
        return attention_call(workload, lambda q, k, v: nystrom_attention(q, k, v, workload.num_landmarks), inputs)
    weight = torch.randn(workload.heads, 1, workload.conv_kernel_size, 1, generator=torch.Generator().manual_seed(n))
    weight = (weight / workload.conv_kernel_size).to(workload.device, workload.dtype)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return nystrom_attention(q, k, v, workload.num_landmarks, conv_weight=weight)

    return attention_call(workload, attend, inputs, (weight,))


def _our_method(name: str, growth: int, implementation: str, attend: Callable[[Workload, int], Call]) -> Method:
    """A method that our own model can run, by its attention's implementation."""

    def prepare(workload: Workload, n: int) -> Call:
        if workload.num_layers == 0:
            return attend(workload, n)
        settings = AttentionSettings(implementation, workload.num_landmarks)
        return model_call(workload, n, nystromformer(workload, n), attention_settings=settings)

    return Method(name, growth, prepare)


def _transformers_method(name: str, growth: int, exact: bool, refuses: Callable[[Workload, int], str]) -> Method:
    def prepare(workload: Workload, n: int) -> Call:
        segment_means_seq_len = workload.num_landmarks if exact else n
        if workload.num_layers == 0:
            return transformers_attention(workload, n, segment_means_seq_len)
        return model_call(workload, n, transformers_nystromformer(workload, n, segment_means_seq_len))

    return Method(name, growth, prepare, refuses)


def _eager(workload: Workload, n: int) -> Call:
    return attention_call(workload, lambda q, k, v: softmax_attention_map(q, k) @ v, attention_inputs(workload, n))


def _sdpa(workload: Workload, n: int) -> Call:
    return attention_call(workload, softmax_attention, attention_inputs(workload, n))


def _transformers_landmarks_refuse(workload: Workload, n: int) -> str:
    if n % workload.num_landmarks or n == workload.num_landmarks:
        return (
            f"transformers' landmark attention runs only where n is a multiple of its {workload.num_landmarks} "
            f"landmarks and more, not at n = {n}."
        )
    return ""


def landmark_flops(workload: Workload, n: int) -> int:
    """Floating point operations of landmark attention alone: its two attentions, pseudo-inverse and convolution."""
    counts = HeadCounts(workload.num_landmarks, workload.head_dim, PINV_ITERATIONS)
    convolution = n * workload.head_dim * (workload.conv_kernel_size or 0)
    return 2 * workload.batch * workload.heads * (counts.landmarks(n) + convolution)


def _matrix_product(workload: Workload, n: int) -> Call:
    size = round((landmark_flops(workload, n) / 2) ** (1 / 3))
    a, b = torch.randn(2, size, size, generator=torch.Generator().manual_seed(n)).to(workload.device, workload.dtype)
    return lambda: a @ b


def _bert(workload: Workload, n: int) -> Call:
    # The same encoder but for its attention: BERT's own activation goes by the error function, at a quarter of the cost
    # of the Nyströmformer's, which goes by tanh.
    config = BertConfig(**model_settings(workload, n), hidden_act="gelu_pytorch_tanh", attn_implementation="sdpa")
    return model_call(workload, n, BertModel(config, add_pooling_layer=False))


SOFTMAX_EAGER = _our_method("softmax (eager)", 2, "eager", _eager)
SOFTMAX_SDPA = _our_method("softmax (SDPA)", 2, "sdpa", _sdpa)
LANDMARKS = _our_method("landmarks", 1, "nystrom", landmark_attention)
TRANSFORMERS_DEFAULT = _transformers_method("transformers default", 2, True, lambda workload, n: "")
TRANSFORMERS_LANDMARKS = _transformers_method("transformers landmarks", 1, False, _transformers_landmarks_refuse)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (SOFTMAX_EAGER, SOFTMAX_SDPA, TRANSFORMERS_DEFAULT, TRANSFORMERS_LANDMARKS, LANDMARKS)
}

# Yardsticks of the command line's comparisons, which are no way to attend in this app.
MATRIX_PRODUCT = Method(
    "matrix product of as many FLOPs",
    1,
    _matrix_product,
    lambda workload, n: "It stands for attention alone, forward." if workload.num_layers or workload.backward else "",
)
BERT_SDPA = Method(
    "BERT (SDPA)",
    2,
    _bert,
    lambda workload, n: "" if workload.num_layers else "BERT is a whole model: ask for at least one layer.",
)
