"""What the tests of the heads share: example inputs, and the model called by hand."""

import itertools

import pytest
import torch

from nystrom_demo import AttentionSettings
from nystrom_demo.config import EXACT
from nystrom_demo.tasks import answer, choose, classify, fill_mask, tag

FEW = AttentionSettings(num_landmarks=3)
TEXT = "john smith went to the river of paris and saw a great cat"
LONG = " ".join(f"{TEXT} {day} ." for day in ("night", "day", "year", "time", "earth", "fire", "water"))
INPUTS = {
    "masked-lm": ("the [MASK] of paris is a [MASK] city",),
    "sequence-classification": (TEXT,),
    "token-classification": (TEXT,),
    "question-answering": ("who saw the cat?", TEXT),
    "multiple-choice": ("why?", ["it was great", "the river", "not a cat"], TEXT),
}
CALLS = {
    "masked-lm": fill_mask,
    "sequence-classification": classify,
    "token-classification": tag,
    "question-answering": answer,
}


def ask(checkpoint, settings=EXACT, **options):
    """The head's function on its example."""
    if checkpoint.task == "multiple-choice":
        return choose(checkpoint, *INPUTS[checkpoint.task], settings, **options)
    return CALLS[checkpoint.task](checkpoint, *INPUTS[checkpoint.task], settings, **options)


def near(value, relative=1e-4):
    return pytest.approx(value, rel=relative, abs=1e-6)


@torch.no_grad()
def outputs(checkpoint, *texts, settings=EXACT):
    inputs = checkpoint.tokenizer(*texts, return_tensors="pt")
    return checkpoint.model(**inputs, attention_settings=settings)


def stretches(checkpoint, question, context, settings):
    """Probability of every stretch of whole words, and of no answer, by going through all of them."""
    output = outputs(checkpoint, question, context, settings=settings)
    start, end = output.start_logits[0], output.end_logits[0]
    encoding = checkpoint.tokenizer(question, context, return_offsets_mapping=True)
    places = [place for place, sequence in enumerate(encoding.sequence_ids()) if sequence == 1]
    words, offsets = encoding.word_ids(), encoding["offset_mapping"]
    scores = {}
    for first, last in itertools.product(places, places):
        whole = words[first - 1] != words[first] or first == places[0]
        whole &= last == places[-1] or words[last + 1] != words[last]
        if whole and 0 <= last - first < 30:
            scores[offsets[first][0], offsets[last][1]] = (start[first] + end[last]).item()
    scores[None] = (start[0] + end[0]).item()
    keys = list(scores)
    return dict(zip(keys, torch.tensor([scores[key] for key in keys]).softmax(0).tolist(), strict=True))
