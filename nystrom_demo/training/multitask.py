"""Several heads on one encoder, as one module to train."""

from collections.abc import Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from nystrom_demo.config import AttentionSettings
from nystrom_demo.heads import (
    NystromformerForMaskedLM,
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
    NystromformerForTokenClassification,
)
from nystrom_demo.model import NystromformerModel, NystromformerPreTrainedModel
from nystrom_demo.training.plan import EXACT_LANDMARKS

HEADS: dict[str, type[NystromformerPreTrainedModel]] = {
    "masked-lm": NystromformerForMaskedLM,
    "sequence-classification": NystromformerForSequenceClassification,
    "token-classification": NystromformerForTokenClassification,
    "question-answering": NystromformerForQuestionAnswering,
    "multiple-choice": NystromformerForMultipleChoice,
}


class MultiTask(nn.Module):
    """One encoder, registered once as `encoder`, and a model of `HEADS` for each task, which all call it.

    `labels` names the classes of the two classification heads. `distil` is the weight of self-distillation.
    """

    def __init__(
        self,
        encoder: NystromformerModel,
        labels: dict[str, Sequence[str]],
        distil: float = 0.0,
        tasks: Sequence[str] = tuple(HEADS),
    ):
        super().__init__()
        self.encoder = encoder
        self.distil = distil
        self.heads = nn.ModuleDict({task: _head(task, encoder, labels.get(task)) for task in tasks})

    def forward(self, task: str, num_landmarks: int, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The task's loss on a batch at m landmarks; with `distil`, and m not exact, drawn to the exact output too."""
        loss, logits = self._run(task, num_landmarks, inputs)
        if self.distil and num_landmarks < EXACT_LANDMARKS:
            with torch.no_grad():
                _, teacher = self._run(task, EXACT_LANDMARKS, inputs)
            divergence = F.kl_div(logits.log_softmax(-1), teacher.softmax(-1), reduction="batchmean")
            loss = loss + self.distil * divergence
        return {"loss": loss}

    def _run(self, task: str, num_landmarks: int, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the logits that distillation compares, (rows, classes)."""
        settings = AttentionSettings("nystrom", num_landmarks)
        head = self.heads[task]
        if task == "masked-lm":
            return masked_word_loss(head, attention_settings=settings, **inputs)
        output = head(attention_settings=settings, **inputs)
        if task == "question-answering":
            return output.loss, torch.cat([output.start_logits, output.end_logits])
        return output.loss, output.logits.flatten(0, -2)


def masked_word_loss(
    model: NystromformerForMaskedLM, labels: torch.Tensor, **inputs
) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's own masked-word loss and logits (masked, vocab_size), without logits where nothing is masked."""
    masked = labels != -100
    hidden_states = model.nystromformer(**inputs, return_dict=True).last_hidden_state[masked]  # (masked, hidden_size)
    logits = model.cls(hidden_states)
    return F.cross_entropy(logits, labels[masked]), logits


def _head(task: str, encoder: NystromformerModel, labels: Sequence[str] | None) -> NystromformerPreTrainedModel:
    """A new head whose model calls `encoder` without owning it, so that its parameters are counted and saved once."""
    config = deepcopy(encoder.config)
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    model = HEADS[task](config)
    attach(model, encoder)
    return model


def attach(model: NystromformerPreTrainedModel, encoder: NystromformerModel) -> None:
    """Make a head's model call `encoder` in place of its own, which it forgets."""
    del model.nystromformer
    object.__setattr__(model, "nystromformer", encoder)  # a plain attribute: nn.Module would register it
    if isinstance(model, NystromformerForMaskedLM):
        model.cls.predictions.decoder.weight = encoder.embeddings.word_embeddings.weight


def start_masked_words(model: NystromformerForMaskedLM, counts: torch.Tensor) -> None:
    """Begin the masked-word head as a unigram model: its bias the log-frequency of each word, (vocab_size,).

    The transform's matrix begins as the identity, since a base without this head has nothing better to offer.
    """
    with torch.no_grad():
        frequencies = (counts + 1) / (counts + 1).sum()
        model.cls.predictions.decoder.bias.copy_(frequencies.log())
        model.cls.predictions.transform.dense.weight.copy_(torch.eye(model.config.hidden_size))
