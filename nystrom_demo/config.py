"""What a Nyströmformer is and how it attends: its configuration, and the settings of one forward pass."""

from typing import NamedTuple

from transformers import PreTrainedConfig

from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.attention.checks import check_iterations, check_num_landmarks

IMPLEMENTATIONS = ("nystrom", "sdpa", "eager")
OTHERS = tuple(name for name in APPROXIMATIONS if name not in IMPLEMENTATIONS)


class NystromformerConfig(PreTrainedConfig):
    """Shape and settings of a Nyströmformer, with transformers' field names and defaults.

    The defaults are those of [uw-madison/nystromformer-512](https://huggingface.co/uw-madison/nystromformer-512).

    num_landmarks: landmarks m of each attention; a text of no more than m tokens gets exact softmax attention.
    pinv_iterations: steps of the iterative pseudo-inverse.
    inv_coeff_init_option: first estimate of the pseudo-inverse by each matrix's own norms (true) or by the largest
        over a sample's heads (false, what the published checkpoints were trained with).
    conv_kernel_size: taps of the depthwise convolution residual, odd; None for none.
    segment_means_seq_len: read and written for the sake of existing checkpoints; decides nothing here.
    max_position_embeddings: the longest text, in tokens; the position table has two rows more.

    ValueError, also at an assignment, unless num_landmarks is an integer of at least 1 and pinv_iterations of 0.
    """

    model_type = "nystromformer"

    vocab_size: int = 30000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 510
    type_vocab_size: int = 2
    segment_means_seq_len: int = 64
    num_landmarks: int = 64
    pinv_iterations: int = PINV_ITERATIONS
    conv_kernel_size: int | None = 65
    inv_coeff_init_option: bool = False
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    # The base class allows maps from "eager" attention only; here every implementation can give its map.
    @property
    def output_attentions(self) -> bool:
        return self._output_attentions

    @output_attentions.setter
    def output_attentions(self, value: bool) -> None:
        self._output_attentions = value

    def validate_output_attentions(self) -> None:
        pass

    def __setattr__(self, key: str, value: object) -> None:
        if key == "num_landmarks":
            value = check_num_landmarks(value)
        elif key == "pinv_iterations":
            value = check_iterations(value, key)
        super().__setattr__(key, value)


class AttentionSettings(NamedTuple):
    """How one forward pass attends: "nystrom" (landmarks), "sdpa" or "eager" (both exact), and the landmarks' numbers.

    Another name of `approximations` takes num_landmarks for its budget and draws from `seed`, the same in each layer.
    Given to a model's `forward` as `attention_settings`, it replaces the configuration's for that call alone.
    """

    implementation: str = "nystrom"
    num_landmarks: int = 64
    pinv_iterations: int = PINV_ITERATIONS
    inv_coeff_init_option: bool = False
    seed: int = 0

    @classmethod
    def from_config(cls, config: NystromformerConfig) -> "AttentionSettings":
        return cls(
            config._attn_implementation, config.num_landmarks, config.pinv_iterations, config.inv_coeff_init_option
        )

    def pinv_options(self) -> dict[str, int | bool]:
        """The keyword arguments of `nystrom_attention` and `nystrom_factors` beside m."""
        return {"pinv_iterations": self.pinv_iterations, "inv_coeff_init_option": self.inv_coeff_init_option}


EXACT = AttentionSettings(implementation="sdpa")


def as_own_config(config: PreTrainedConfig) -> NystromformerConfig:
    """The configuration itself, or ours with the fields of transformers' class for the same models.

    TypeError for another model's.
    """
    if isinstance(config, NystromformerConfig):
        return config
    if getattr(config, "model_type", None) != NystromformerConfig.model_type:
        raise TypeError(f"A Nyströmformer is made from a NystromformerConfig, got {type(config).__name__}.")
    own = NystromformerConfig.from_dict(config.to_dict())
    own._attn_implementation = config._attn_implementation
    return own


def check_settings(
    settings: AttentionSettings | dict[str, object], num_landmarks: int | None = None
) -> AttentionSettings:
    """The settings, made from a dictionary of their fields where they are one, with another m where that is given.

    TypeError for a field that there is not, ValueError for an attention that there is not or impossible numbers.
    """
    if isinstance(settings, dict):
        settings = AttentionSettings(**settings)
    if not isinstance(settings, AttentionSettings):
        raise TypeError(f"attention_settings must be AttentionSettings, got {type(settings).__name__}.")
    if settings.implementation not in IMPLEMENTATIONS + OTHERS:
        raise ValueError(
            f"implementation of attention_settings must be one of {', '.join(IMPLEMENTATIONS)}, "
            f"got {settings.implementation!r}; approximations go by {', '.join(OTHERS)}."
        )
    return settings._replace(
        num_landmarks=check_num_landmarks(settings.num_landmarks if num_landmarks is None else num_landmarks),
        pinv_iterations=check_iterations(settings.pinv_iterations, "pinv_iterations"),
    )
