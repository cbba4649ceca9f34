"""The Nyströmformer encoder: embeddings, landmark self-attention, layers, model.

Module and parameter names are transformers' own (`attention.self.query`, `LayerNorm`, …), so its checkpoints load
unchanged. Shapes: hidden_states is (batch, seq, hidden_size); key_padding_mask is (batch, seq), true at real tokens.
"""

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.pytorch_utils import apply_chunking_to_forward

from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.attention import (
    DepthwiseConvolution,
    nystrom_attention,
    nystrom_factors,
    softmax_attention,
    softmax_attention_map,
)
from nystrom_demo.attention.checks import runs_eagerly, surely
from nystrom_demo.attention.convolution import without_padding
from nystrom_demo.config import (
    IMPLEMENTATIONS,
    OTHERS,
    AttentionSettings,
    NystromformerConfig,
    as_own_config,
    check_settings,
)
from nystrom_demo.masks import make_key_padding_mask
from nystrom_demo.shared_weights import explain_lack

GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}  # how torch approximates each
POSITION_OFFSET = 2  # the checkpoints' position tables have two unused rows in front, RoBERTa's inheritance


class NystromformerEmbeddings(nn.Module):
    """Word, position and segment embeddings, summed and normalised."""

    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.max_position_embeddings = config.max_position_embeddings
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings + POSITION_OFFSET, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        key_padding_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        if position_ids is None:
            position_ids = self._position_ids(inputs_embeds, key_padding_mask)
        if token_type_ids is None:
            token_type_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
        embeddings = inputs_embeds + self.token_type_embeddings(token_type_ids)
        embeddings = embeddings + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))

    def _position_ids(self, inputs_embeds: torch.Tensor, key_padding_mask: torch.Tensor | None) -> torch.Tensor:
        """(1 or batch, seq): a real token's place among the real tokens, so that left padding moves nothing."""
        seq = inputs_embeds.shape[1]
        if seq > self.max_position_embeddings:
            raise ValueError(
                f"The text is {seq} tokens long, but the position table of this model ends at "
                f"{self.max_position_embeddings}."
            )
        if key_padding_mask is None:
            return torch.arange(seq, device=inputs_embeds.device)[None] + POSITION_OFFSET
        return (key_padding_mask.cumsum(-1) - 1).clamp(min=0) + POSITION_OFFSET

    @torch.no_grad()
    def resize_positions(self, length: int, method: str) -> None:
        """`NystromformerPreTrainedModel.resize_position_embeddings` of the table itself."""
        if method not in RESIZES:
            raise ValueError(f"method must be one of {', '.join(RESIZES)}, got {method!r}.")
        old = self.position_embeddings.weight
        rows = RESIZES[method](old[POSITION_OFFSET:], length)
        table = nn.Embedding(length + POSITION_OFFSET, old.shape[1], device=old.device, dtype=old.dtype)
        table.weight.copy_(torch.cat([old[:POSITION_OFFSET], rows]))
        table.weight.requires_grad_(old.requires_grad)
        self.position_embeddings, self.max_position_embeddings = table.train(self.training), length


def tiled(rows: torch.Tensor, length: int) -> torch.Tensor:
    """(length, width): the rows again and again."""
    return rows[torch.arange(length, device=rows.device) % len(rows)]


def interpolated(rows: torch.Tensor, length: int) -> torch.Tensor:
    """(length, width): the rows stretched or shrunk linearly, from the first to the last."""
    wide = rows.float().T[None]  # (1, width, rows)
    return F.interpolate(wide, length, mode="linear", align_corners=True)[0].T.to(rows.dtype)


RESIZES = {"tile": tiled, "interpolate": interpolated}


class NystromformerSelfAttention(nn.Module):
    """Multi-head attention over landmarks, or exact, plus the depthwise convolution of v."""

    def __init__(self, config: NystromformerConfig):
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, got {config.hidden_size} and "
                f"{config.num_attention_heads}."
            )
        self.num_attention_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        kernel = config.conv_kernel_size
        if kernel is not None:
            if kernel < 1 or kernel % 2 == 0:
                raise ValueError(f"conv_kernel_size must be an odd number or None, got {kernel}.")
            self.conv = DepthwiseConvolution.of_heads(config.num_attention_heads, kernel)
        else:
            self.conv = None

    def project(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, k, v of hidden_states, each (batch, heads, seq, head_dim)."""
        return tuple(
            linear(hidden_states).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        settings: AttentionSettings,
        output_attentions: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(batch, seq, hidden_size), and the (batch, heads, seq, seq) attention map or None."""
        q, k, v = self.project(hidden_states)  # (batch, heads, seq, head_dim)
        attentions = None
        if is_approximation(settings):
            context, attentions = approximate_attention(q, k, v, key_padding_mask, settings, output_attentions)
        elif output_attentions or settings.implementation == "eager":
            attentions = attention_map(q, k, key_padding_mask, settings)
            context = attentions @ v
        elif settings.implementation == "nystrom":
            context = nystrom_attention(q, k, v, settings.num_landmarks, key_padding_mask, **settings.pinv_options())
        else:
            context = softmax_attention(q, k, v, key_padding_mask)
        if self.conv is not None:
            context = context + self.conv(without_padding(v, key_padding_mask))
        context = context.transpose(1, 2).flatten(2)  # (batch, seq, hidden_size)
        return context, attentions if output_attentions else None


def attention_map(
    q: torch.Tensor,
    k: torch.Tensor,
    key_padding_mask: torch.Tensor | None,
    settings: AttentionSettings,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    """The (batch, heads, seq, seq) matrix that the settings' attention multiplies v by, without the convolution."""
    if settings.implementation != "nystrom" or surely(q.shape[2] <= settings.num_landmarks):
        return softmax_attention_map(q, k, key_padding_mask, scale=scale)
    factors = nystrom_factors(q, k, settings.num_landmarks, key_padding_mask, scale=scale, **settings.pinv_options())
    return factors.attention()


def is_approximation(settings: AttentionSettings) -> bool:
    """Whether the settings' attention is neither exact nor the package's own landmarks."""
    return settings.implementation in OTHERS


def approximate_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_padding_mask: torch.Tensor | None,
    settings: AttentionSettings,
    with_map: bool,
    *,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The output of the settings' approximation, without the convolution, and its map where it is wanted."""
    method = APPROXIMATIONS[settings.implementation]
    given = (q, k, v, settings.num_landmarks, key_padding_mask)
    made = method.map(*given, seed=settings.seed, scale=scale) if with_map else None
    return method(*given, seed=settings.seed, scale=scale), made


class NystromformerAddNorm(nn.Module):
    """Dense layer, dropout, residual sum and layer norm: what follows both the attention and the feed-forward."""

    def __init__(self, input_size: int, config: NystromformerConfig):
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dropout(self.dense(hidden_states)) + residual)


class NystromformerAttention(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.self = NystromformerSelfAttention(config)
        self.output = NystromformerAddNorm(config.hidden_size, config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        settings: AttentionSettings,
        output_attentions: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        context, attentions = self.self(hidden_states, key_padding_mask, settings, output_attentions)
        return self.output(context, hidden_states), attentions


class NystromformerIntermediate(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.gelu = GELUS.get(config.hidden_act)
        # "gelu_new" in transformers is eight passes over the widest tensor of the layer; torch has the same in one.
        self.intermediate_act_fn = ACT2FN["gelu_pytorch_tanh" if self.gelu == "tanh" else config.hidden_act]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        wide = self.dense(hidden_states)
        if self.gelu is not None and self._nobody_keeps():
            return torch.ops.aten.gelu_(wide, approximate=self.gelu)  # in place: nothing in a pass holds more memory
        return self.intermediate_act_fn(wide)

    def _nobody_keeps(self) -> bool:
        """Whether the dense layer's output is this module's alone: no gradient needs it, and no hook can have it."""
        return (
            not torch.is_grad_enabled()
            and runs_eagerly()
            and type(self.dense) is nn.Linear
            and not any(is_hooked(module) for module in (self.dense, self.intermediate_act_fn))
        )


def is_hooked(module: nn.Module) -> bool:
    """Whether a hook is called before or after this module, or every module."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    return any(hooks) or bool(_global_forward_hooks) or bool(_global_forward_pre_hooks)


class NystromformerLayer(GradientCheckpointingLayer):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.chunk_size_feed_forward = config.chunk_size_feed_forward
        self.attention = NystromformerAttention(config)
        self.intermediate = NystromformerIntermediate(config)
        self.output = NystromformerAddNorm(config.intermediate_size, config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        settings: AttentionSettings,
        output_attentions: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        attended, attentions = self.attention(hidden_states, key_padding_mask, settings, output_attentions)
        hidden_states = apply_chunking_to_forward(self._feed_forward, self.chunk_size_feed_forward, 1, attended)
        return hidden_states, attentions

    def _feed_forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.output(self.intermediate(hidden_states), hidden_states)


class NystromformerEncoder(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.layer = nn.ModuleList(NystromformerLayer(config) for _ in range(config.num_hidden_layers))
        self.gradient_checkpointing = False

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        settings: AttentionSettings,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        all_hidden_states, all_attentions = [hidden_states] if output_hidden_states else [], []
        for layer in self.layer:
            hidden_states, attentions = layer(hidden_states, key_padding_mask, settings, output_attentions)
            if output_hidden_states:
                all_hidden_states.append(hidden_states)
            all_attentions.append(attentions)
        return BaseModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=tuple(all_hidden_states) if output_hidden_states else None,
            attentions=tuple(all_attentions) if output_attentions else None,
        )


class NystromformerPreTrainedModel(PreTrainedModel):
    """Loading, saving and attention switching for the model and its heads."""

    config: NystromformerConfig
    config_class = NystromformerConfig
    base_model_prefix = "nystromformer"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # or Trainer would not divide a loss by its steps of gradient accumulation
    _supports_sdpa = False  # true would make sdpa transformers' default; it can be chosen all the same
    _no_split_modules: ClassVar = ["NystromformerEmbeddings", "NystromformerLayer"]

    def __init__(self, config: NystromformerConfig, *arguments, **options):
        super().__init__(as_own_config(config), *arguments, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *arguments, **options):
        """transformers' own, but that a bundled checkpoint copied without its encoder is told to be one (OSError)."""
        folder = Path(str(pretrained_model_name_or_path), options.get("subfolder") or "")
        if folder.is_dir() and (lack := explain_lack(folder)):
            raise OSError(lack)
        return super().from_pretrained(pretrained_model_name_or_path, *arguments, **options)

    def set_num_landmarks(self, num_landmarks: int) -> None:
        """Use `num_landmarks` landmarks from the next call on. ValueError if it is not an integer of at least 1."""
        self.config.num_landmarks = num_landmarks

    def get_position_embeddings(self) -> nn.Embedding:
        """The position table; a text's first token reads its third row."""
        return self.base_model.embeddings.position_embeddings

    def resize_position_embeddings(self, new_num_position_embeddings: int, method: str = "tile") -> None:
        """Make the position table end at a text of `new_num_position_embeddings` tokens, in place.

        method: "tile" begins the table again where it ends, so that every position has a neighbourhood it was trained
        with; "interpolate" stretches it linearly, its first and last row staying these. A shorter table keeps its first
        rows when tiled. The configuration follows; a tokenizer's `model_max_length` does not. New rows are as good as
        training on longer texts makes them. ValueError for a length below 1 or another method.
        """
        length = new_num_position_embeddings
        if type(length) is not int or length < 1:
            raise ValueError(f"new_num_position_embeddings must be an integer of at least 1, got {length!r}.")
        self.base_model.embeddings.resize_positions(length, method)
        for config in (self.config, self.base_model.config):
            config.max_position_embeddings = length

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """transformers' hook for the choice of attention: landmarks unless exact attention is asked for."""
        if requested_attention is None:
            return "nystrom"
        if requested_attention not in IMPLEMENTATIONS + OTHERS:
            raise ValueError(
                f'Specified `attn_implementation="{requested_attention}"` is not supported; '
                f"a Nyströmformer attends by one of {', '.join(IMPLEMENTATIONS)}; "
                f"approximations go by {', '.join(OTHERS)}."
            )
        return requested_attention

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return True

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if hasattr(module, "bias") and module is getattr(getattr(self, "cls", None), "predictions", None):
            init.zeros_(module.bias)


class NystromformerModel(NystromformerPreTrainedModel):
    """The encoder: token ids in, hidden states out."""

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.embeddings = NystromformerEmbeddings(config)
        self.encoder = NystromformerEncoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        attention_settings: AttentionSettings | None = None,
        num_landmarks: int | None = None,
    ) -> BaseModelOutput | tuple[torch.Tensor, ...]:
        """Hidden states of each token, (batch, seq, hidden_size).

        input_ids (batch, seq) or inputs_embeds (batch, seq, hidden_size); attention_mask (batch, seq), non-zero at real
        tokens, or of three or four axes if it says that of every query alike; position_ids index the position table's
        rows, so they begin at 2. `attention_settings` replaces the configuration's attention for this call alone, and
        `num_landmarks` its number of landmarks. `output_attentions` adds the (batch, heads, seq, seq) map of each
        layer: under landmarks the product of the three kernels, made for this purpose.
        ValueError when the text is longer than the position table, TypeError for an argument that there is not.
        """
        check_axes(input_ids, inputs_embeds)
        if inputs_embeds is None:
            inputs_embeds = self.embeddings.word_embeddings(input_ids)
        key_padding_mask = make_key_padding_mask(attention_mask, inputs_embeds)
        hidden_states = self.embeddings(inputs_embeds, token_type_ids, position_ids, key_padding_mask)
        del inputs_embeds  # or it would be held through all layers
        settings = AttentionSettings.from_config(self.config) if attention_settings is None else attention_settings
        output = self.encoder(
            hidden_states,
            key_padding_mask,
            check_settings(settings, num_landmarks),
            self.config.output_attentions if output_attentions is None else output_attentions,
            self.config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        )
        return output if resolve_return_dict(return_dict, self.config) else output.to_tuple()


def resolve_return_dict(return_dict: bool | None, config: NystromformerConfig) -> bool:
    return config.return_dict if return_dict is None else return_dict


def check_axes(
    input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None, axes: tuple[str, ...] = ("batch", "seq")
) -> None:
    """ValueError unless exactly one of the two is given and has these axes, inputs_embeds hidden_size behind them."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("Give exactly one of input_ids and inputs_embeds.")
    name, x, wanted = "input_ids", input_ids, axes
    if x is None:
        name, x, wanted = "inputs_embeds", inputs_embeds, (*axes, "hidden_size")
    if x.dim() != len(wanted):
        raise ValueError(f"{name} must be ({', '.join(wanted)}), got shape {tuple(x.shape)}.")
