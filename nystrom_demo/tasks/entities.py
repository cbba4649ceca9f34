"""Token classification: a text in, its words with labels and its entities with characters out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.tasks.label_sequence import Tag, likeliest_labels, read_tags
from nystrom_demo.tasks.labels import label_names
from nystrom_demo.tasks.reading import check_task, read
from nystrom_demo.tasks.windows import Window, character_spans, encode, is_mark, make_limits, make_windows

# What named-entity data counts as one word though a word-piece tokenizer splits it: U.S., AT&T, example.org, O'Brien.
# A possessive or contracted ending ('s, 're) is a word of its own there.
# It begins where a run of letters does and gives none of them back, or a long run would take quadratic time.
_ONE_WORD = re.compile(
    r"(?:[^\W\d_]\.){2,}|(?<!\w)\w++(?:[.&@]\w++|['’](?!(?:s|t|d|m|ll|re|ve)\b)\w++)+", re.IGNORECASE
)


_JOINERS = "\u200c\u200d"  # stand within words of Persian, Hindi, Bengali and others


@dataclass(frozen=True)
class TaggedWord:
    """A whole word, text[start:end], its label and the label's probability."""

    word: str
    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True)
class Entity:
    """A named thing, text[start:end], its kind and the mean probability of its words' labels."""

    entity: str
    word: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Tagging:
    words: tuple[TaggedWord, ...]
    entities: tuple[Entity, ...]
    num_tokens: int
    num_windows: int


def tag(
    checkpoint: Checkpoint,
    text: str,
    settings: AttentionSettings = EXACT,
    *,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> Tagging:
    """Every word of `text` with its label, and the entities that the labels spell (B- begins one, I- goes on).

    The schemes BIO, BIOES, BILOU and BMES are read, in capitals or not, with "-" or "_". An entity holds a letter or a
    digit: what the labels name that is marks alone is none.

    The labels are the likeliest row of them in which I- goes on with something; a word has its first token's
    probabilities. A text longer than max_tokens (by default the position table) is read in overlapping windows, each
    word in the one that gives it the most context.
    """
    return tag_batch(checkpoint, [text], settings, max_tokens=max_tokens, overlap=overlap)[0]


def tag_batch(
    checkpoint: Checkpoint, texts: Sequence[str], settings: AttentionSettings = EXACT, **options
) -> list[Tagging]:
    """`tag` of each text, in shared forward passes."""
    return read(checkpoint, [TagReader(checkpoint, text, **options) for text in texts], settings)


class TagReader:
    """`tasks.reading.Reader` of words' labels."""

    task = "token-classification"

    def __init__(self, checkpoint: Checkpoint, text: str, *, max_tokens: int | None = None, overlap: int | None = None):
        check_task(checkpoint, self.task, "tag")
        self.text = text
        self.labels = label_names(checkpoint.model.config)
        backend = checkpoint.tokenizer.whole_text
        body = encode(backend, text, "text")
        limits = make_limits(checkpoint, max_tokens, overlap)
        framed = backend.post_process(body)
        self.windows = make_windows(framed, len(body), limits, "text")
        self.num_tokens = len(framed)
        words = _whole_words(text, body.word_ids, body.offsets)
        self.first_tokens = torch.tensor([first for first, _, _ in words])
        self.spans = [(start, end) for _, start, end in words]

    def forward(self, model: PreTrainedModel, inputs: dict, windows: Sequence[Window]) -> list[torch.Tensor]:
        """For each window, probabilities (its own tokens, num_labels)."""
        probabilities = model(**inputs).logits.float().softmax(-1).cpu()
        return [row[window.own.start : window.own.stop] for row, window in zip(probabilities, windows, strict=True)]

    def result(self, outputs: Sequence[torch.Tensor]) -> Tagging:
        probabilities = self._by_word(outputs)
        labels = likeliest_labels(probabilities, self.labels)
        scores = probabilities.gather(1, labels[:, None])[:, 0]
        words = tuple(
            TaggedWord(self.text[start:end], start, end, self.labels[label], score)
            for (start, end), label, score in zip(self.spans, labels.tolist(), scores.tolist(), strict=True)
        )
        return Tagging(words, merge_entities(self.text, words, self.labels), self.num_tokens, len(self.windows))

    def probability(self, outputs: Sequence[torch.Tensor], answer: Tagging) -> float:
        """The mean probability of the answer's labels over its entities' words, or over all words if it has none."""
        labels = torch.tensor([self.labels.index(word.label) for word in answer.words])
        scores = self._by_word(outputs).gather(1, labels[:, None])[:, 0]
        tags = read_tags(self.labels)
        named = torch.tensor([tags[word.label].kind is not None for word in answer.words])
        return scores[named if named.any() else ~named].mean().item()

    def in_words(self, answer: Tagging) -> str:
        return ", ".join(f"{entity.word} ({entity.entity})" for entity in answer.entities) or "no entity"

    def _by_word(self, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(outputs))[self.first_tokens]  # (words, num_labels)


def merge_entities(text: str, words: Sequence[TaggedWord], labels: Sequence[str] | None = None) -> tuple[Entity, ...]:
    """The entities that the words' labels spell. labels: all that the model has, where they are known."""
    tags = read_tags([word.label for word in words] if labels is None else labels, are_all=labels is not None)
    groups: list[tuple[str, list[TaggedWord]]] = []
    previous = Tag(None, "inside")
    for word in words:
        tag = tags[word.label]
        if tag.goes_on and previous.may_go_on(tag.kind):
            groups[-1][1].append(word)
        elif tag.kind is not None:
            groups.append((tag.kind, [word]))
        previous = tag
    entities = (
        Entity(kind, text[group[0].start : group[-1].end], group[0].start, group[-1].end, _mean_score(group))
        for kind, group in groups
    )
    return tuple(entity for entity in entities if any(character.isalnum() for character in entity.word))


def _mean_score(words: Sequence[TaggedWord]) -> float:
    return sum(word.score for word in words) / len(words)


def _whole_words(
    text: str, word_ids: Sequence[int | None], offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """(first token, start, end) of each word: the tokenizer's words, joined where named-entity data has one."""
    spans = character_spans(text, offsets)
    joined = {place: match for match in _ONE_WORD.finditer(text) for place in range(*match.span())}

    def word_of(token: int):
        while token + 1 < len(spans) and spans[token + 1][0] == spans[token][0]:
            token += 1  # a mark of the word's capital
        start, end = spans[token]
        match = joined.get(start)
        if match is not None and end <= match.end():
            return match
        if word_ids[token] is None or not any(character.isalnum() for character in text[start:end]):
            return spans[token]  # a mark stands alone, also where the tokenizer leaves it on its word
        return word_ids[token]

    groups: list[list[int]] = []
    latest = None
    for token, (start, end) in enumerate(spans):
        if start == end:  # some tokenizers have tokens of blanks
            continue
        if groups and _goes_on(text, spans[groups[-1][-1]][1], start):
            groups[-1].append(token)
            continue
        word = word_of(token)
        if groups and word == latest:
            groups[-1].append(token)
        else:
            groups.append([token])
        latest = word
    return [(group[0], spans[group[0]][0], spans[group[-1]][1]) for group in groups]


def _goes_on(text: str, end: int, start: int) -> bool:
    """Whether what starts here is of the same letters as what ended there: a vowel sign or another mark, or a letter
    behind one. Tokenizers take these for marks between words, or words.
    """
    if text[end:start].strip(_JOINERS) or not 0 < start < len(text):
        return False
    if is_mark(text[start]):
        return end > 0
    base = end
    while base > 0 and (is_mark(text[base - 1]) or text[base - 1] in _JOINERS):
        base -= 1
    return (base < end or start > end) and text[start].isalnum() and base > 0 and text[base - 1].isalnum()
