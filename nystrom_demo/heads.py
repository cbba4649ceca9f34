"""The five task heads over the encoder, with transformers' parameter, argument and output names.

Each `forward` takes the encoder's arguments and hands them on unread (`attention_mask`, `token_type_ids`,
`position_ids`, `inputs_embeds`, `output_attentions`, `output_hidden_states`, `attention_settings`, `num_landmarks`),
adds the labels that its loss needs, and returns transformers' output class for its task, or a tuple with
`return_dict=False`. TypeError for an argument that there is not.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_outputs import (
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from nystrom_demo.config import NystromformerConfig
from nystrom_demo.model import NystromformerModel, NystromformerPreTrainedModel, check_axes, resolve_return_dict


class NystromformerPredictionHeadTransform(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.transform_act_fn = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.transform_act_fn(self.dense(hidden_states)))


class NystromformerLMPredictionHead(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.transform = NystromformerPredictionHeadTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)  # its weight is the word embeddings'
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))  # the decoder's bias under a second name

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.transform(hidden_states))


class NystromformerOnlyMLMHead(nn.Module):
    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.predictions = NystromformerLMPredictionHead(config)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.predictions(hidden_states)


class NystromformerForMaskedLM(NystromformerPreTrainedModel):
    """Scores of every vocabulary word at every position: logits (batch, seq, vocab_size)."""

    _tied_weights_keys: ClassVar = {
        "cls.predictions.decoder.weight": "nystromformer.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.nystromformer = NystromformerModel(self.config)
        self.cls = NystromformerOnlyMLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.cls.predictions.decoder = new_embeddings
        self.cls.predictions.bias = new_embeddings.bias

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> MaskedLMOutput | tuple[torch.Tensor, ...]:
        """labels (batch, seq): true token ids at masked places, -100 elsewhere; the loss is their cross-entropy."""
        encoded = self.nystromformer(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.cls(encoded.last_hidden_state)  # (batch, seq, vocab_size)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return _as_asked(output, return_dict, self.config)


class NystromformerClassificationHead(nn.Module):
    """Scores of a whole text from its first token."""

    def __init__(self, config: NystromformerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        pooled = self.dropout(hidden_states[:, 0])  # (batch, hidden_size)
        return self.out_proj(self.dropout(self.activation(self.dense(pooled))))


class NystromformerForSequenceClassification(NystromformerPreTrainedModel):
    """Scores of each label for a whole text: logits (batch, num_labels)."""

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.nystromformer = NystromformerModel(self.config)
        self.classifier = NystromformerClassificationHead(config)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """labels: class ids (batch,), values (batch,) or (batch, num_labels), or 0/1 marks (batch, num_labels).

        Which of the three is `config.problem_type`; None is settled by num_labels and the labels' dtype.
        """
        encoded = self.nystromformer(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.classifier(encoded.last_hidden_state)  # (batch, num_labels)
        loss = None if labels is None else self._loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return _as_asked(output, return_dict, self.config)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.config.problem_type is None:
            self.config.problem_type = _problem_type(self.num_labels, labels.dtype)
        if self.config.problem_type == "regression":
            values = labels.flatten()[:, None] if self.num_labels == 1 else labels
            if values.shape != logits.shape:
                raise ValueError(
                    f"labels must be (batch, num_labels) = {tuple(logits.shape)}, got {tuple(labels.shape)}."
                )
            return F.mse_loss(logits, values)
        if self.config.problem_type == "single_label_classification":
            return F.cross_entropy(logits, labels.flatten())
        return F.binary_cross_entropy_with_logits(logits, labels)


def _problem_type(num_labels: int, dtype: torch.dtype) -> str:
    if num_labels == 1:
        return "regression"
    return "multi_label_classification" if dtype.is_floating_point else "single_label_classification"


class NystromformerForMultipleChoice(NystromformerPreTrainedModel):
    """One score for each choice: inputs (batch, num_choices, seq), logits (batch, num_choices)."""

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.nystromformer = NystromformerModel(self.config)
        self.pre_classifier = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> MultipleChoiceModelOutput | tuple[torch.Tensor, ...]:
        """labels (batch,): the index of the right choice. Every input has a choice axis after the batch axis.

        A choice of padding alone, which fills up a question of fewer choices, gets a score that says nothing.
        """
        check_axes(input_ids, inputs_embeds, ("batch", "num_choices", "seq"))
        shape = (inputs_embeds if input_ids is None else input_ids).shape[:3]
        named = {"attention_mask": attention_mask, "token_type_ids": token_type_ids, "position_ids": position_ids}
        for name, x in named.items():
            if x is not None and x.shape[:2] != shape[:2]:
                wanted = f"(batch, num_choices, seq) = {tuple(shape)}"
                raise ValueError(f"{name} must be {wanted}, got {tuple(x.shape)}.")
        if attention_mask is not None and attention_mask.dim() == 3:
            real = attention_mask.bool()
            attention_mask = real | ~real.any(-1, keepdim=True)  # a choice of padding alone is read as real tokens
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        flat = (None if x is None else x.flatten(0, 1) for x in inputs)  # (batch * num_choices, seq, …)
        encoded = self.nystromformer(*flat, return_dict=True, **kwargs)
        pooled = F.relu(self.pre_classifier(encoded.last_hidden_state[:, 0]))  # (batch * num_choices, hidden_size)
        logits = self.classifier(pooled).view(shape[:2])
        loss = None if labels is None else F.cross_entropy(logits, labels)
        output = MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return _as_asked(output, return_dict, self.config)


class NystromformerForTokenClassification(NystromformerPreTrainedModel):
    """Scores of each label for each token: logits (batch, seq, num_labels)."""

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.nystromformer = NystromformerModel(self.config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> TokenClassifierOutput | tuple[torch.Tensor, ...]:
        """labels (batch, seq): a label id a token, -100 where none counts."""
        encoded = self.nystromformer(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # (batch, seq, num_labels)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        output = TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return _as_asked(output, return_dict, self.config)


class NystromformerForQuestionAnswering(NystromformerPreTrainedModel):
    """Scores of each token as an answer's first and as its last: start_logits and end_logits, (batch, seq)."""

    def __init__(self, config: NystromformerConfig):
        super().__init__(config)
        self.config.num_labels = 2
        self.num_labels = 2
        self.nystromformer = NystromformerModel(self.config)
        self.qa_outputs = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> QuestionAnsweringModelOutput | tuple[torch.Tensor, ...]:
        """start_positions, end_positions (batch,): tokens of the answer; one outside the input is not counted."""
        encoded = self.nystromformer(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True, **kwargs
        )
        start_logits, end_logits = self.qa_outputs(encoded.last_hidden_state).unbind(-1)  # (batch, seq), twice
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (_position_loss(start_logits, start_positions) + _position_loss(end_logits, end_positions)) / 2
        output = QuestionAnsweringModelOutput(loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return _as_asked(output, return_dict, self.config)


def _position_loss(logits: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    outside = logits.shape[1]
    return F.cross_entropy(logits, positions.flatten().clamp(0, outside), ignore_index=outside)


def _as_asked(
    output: ModelOutput, return_dict: bool | None, config: NystromformerConfig
) -> ModelOutput | tuple[torch.Tensor, ...]:
    return output if resolve_return_dict(return_dict, config) else output.to_tuple()
