"""A Nyströmformer whose sequence is held by several processes: `distribute(model, mesh)` and nothing else to change."""

import inspect
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from nystrom_demo.config import AttentionSettings
from nystrom_demo.distributed.attention import distributed_nystrom_attention
from nystrom_demo.distributed.stretch import Stretch
from nystrom_demo.heads import (
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
)
from nystrom_demo.model import (
    POSITION_OFFSET,
    NystromformerModel,
    NystromformerPreTrainedModel,
    NystromformerSelfAttention,
)


def distribute(model: NystromformerPreTrainedModel, mesh: DeviceMesh) -> NystromformerPreTrainedModel:
    """The same model, which from now on takes this process's stretch of each input, and is called by every process.

    input_ids, attention_mask, token_type_ids and labels of tokens are the stretch's; stretches follow one another in
    the order of the mesh's ranks and may differ in length. Hidden states, and logits of tokens, are the stretch's.
    Logits of a whole text, and start and end logits of answers, are the whole text's on every process, and so are the
    labels they are compared with and the loss. The weights must be the same everywhere. ValueError, in a call, for
    exact attention, attention maps, positions given, or more tokens than the position table has.
    """
    run = _Run(mesh)
    encoder = model if isinstance(model, NystromformerModel) else model.nystromformer
    encoder.register_forward_pre_hook(run.begin, with_kwargs=True)
    for module in encoder.modules():
        if isinstance(module, NystromformerSelfAttention):
            module.forward = partial(run.attend, module)
    if isinstance(model, NystromformerForSequenceClassification | NystromformerForMultipleChoice):
        encoder.register_forward_hook(run.first_token)
    if isinstance(model, NystromformerForQuestionAnswering):
        model.qa_outputs.register_forward_hook(run.all_tokens)
    return model


def average_gradients(model: nn.Module, mesh: DeviceMesh) -> None:
    """Each parameter's gradient becomes the mean of the processes': the gradient of their losses' mean.

    A whole text's loss is the same on every process, and so is the mean. DistributedDataParallel does the same.
    """
    for parameter in model.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad, group=mesh.get_group())
            parameter.grad /= mesh.size()


class _Run:
    """The stretch of the pass that is going on, for the hooks of all modules."""

    def __init__(self, mesh: DeviceMesh):
        self.mesh = mesh
        self.stretch: Stretch | None = None

    def begin(self, encoder: NystromformerModel, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Before the encoder: find out what the other processes hold, and give each token its place in the whole."""
        arguments = inspect.signature(encoder.forward).bind(*args, **kwargs).arguments
        arguments |= arguments.pop("kwargs", {})
        if arguments.get("position_ids") is not None:
            raise ValueError("position_ids cannot be given to a distributed model: they follow from the stretches.")
        tokens = next(arguments[name] for name in ("input_ids", "inputs_embeds") if arguments.get(name) is not None)
        mask = arguments.get("attention_mask")
        mask = tokens.new_ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask.to(tokens.device).bool()
        self.stretch = Stretch.gather(self.mesh, mask)
        longest = encoder.embeddings.max_position_embeddings
        if self.stretch.total > longest:
            raise ValueError(
                f"The text is {self.stretch.total} tokens long, but the position table of this model ends at {longest}."
            )
        return (), arguments | {"position_ids": self.stretch.places().clamp(min=0) + POSITION_OFFSET}

    def attend(
        self,
        module: NystromformerSelfAttention,
        hidden_states: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        settings: AttentionSettings,
        output_attentions: bool = False,
    ) -> tuple[torch.Tensor, None]:
        """In the place of a self-attention's `forward`."""
        if settings.implementation != "nystrom" or output_attentions:
            raise ValueError("A distributed model attends by landmarks, and gives no attention maps.")
        conv_weight = None if module.conv is None else module.conv.weight
        context = distributed_nystrom_attention(
            *module.project(hidden_states),
            settings.num_landmarks,
            self.stretch,
            conv_weight=conv_weight,
            **settings.pinv_options(),
        )
        return context.transpose(1, 2).flatten(2), None

    def first_token(self, encoder: NystromformerModel, args: tuple, output: Any) -> Any:
        """After the encoder: the whole text's first token, on every process, as the only one."""
        first = output.last_hidden_state[:, :1]
        # The others' stays part of the sum, so that backward goes through the layers of every process.
        output.last_hidden_state = self.stretch.sum(first if self.stretch.rank == 0 else first * 0)
        return output

    def all_tokens(self, module: nn.Module, args: tuple, logits: torch.Tensor) -> torch.Tensor:
        """After a layer that scores tokens: all stretches' scores, (batch, total, …), on every process."""
        before = sum(self.stretch.lengths[: self.stretch.rank])
        whole = logits.new_zeros(logits.shape[0], self.stretch.total, *logits.shape[2:])
        places = torch.arange(before, before + self.stretch.seq, device=logits.device)
        return self.stretch.sum(whole.index_copy(1, places, logits))
