"""Words and answers of tokenizers that have tokens of blanks, as byte-level ones and sentence pieces do."""

import copy
from dataclasses import replace

import pytest
from heads_by_hand import near
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from nystrom_demo.checkpoints.tokenizer_files import SharedTokenizer
from nystrom_demo.config import EXACT
from nystrom_demo.tasks import answer, classify, prepare, tag
from nystrom_demo.tasks.reading import read

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = "Paris\nLondon  Rome \r\n\r\n and Bonn "


def byte_level() -> Tokenizer:
    """Every byte a token, so that a blank is always one of its own."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """A blank before a word is a piece of it, which stands alone before a word that the pieces do not hold."""
    pieces = [*SPECIAL, "▁", "▁Paris", "▁and", *"ParisLondonRomeBonn"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in dict.fromkeys(pieces)], unk_id=0))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@pytest.fixture(params=[byte_level, sentence_pieces])
def blanks(request, tiny_checkpoints):
    """A tiny checkpoint by task, with such a tokenizer."""
    tokenizer = request.param()
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    roles = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    shared = SharedTokenizer(tokenizer_object=tokenizer, **roles)
    enlarged = {task: copy.deepcopy(checkpoint.model) for task, checkpoint in tiny_checkpoints.items()}
    for model in enlarged.values():
        model.resize_token_embeddings(len(shared))
    return {task: replace(tiny_checkpoints[task], tokenizer=shared, model=model) for task, model in enlarged.items()}


def test_every_word_is_tagged_once_and_no_blank_is(blanks):
    words = tag(blanks["token-classification"], TEXT).words
    assert [word.word for word in words] == TEXT.split()
    assert [TEXT[word.start : word.end] for word in words] == TEXT.split()


def test_an_answer_is_whole_words_and_its_probability_is_found_again(blanks):
    checkpoint = blanks["question-answering"]
    found = answer(checkpoint, "who", TEXT, top_k=100)
    assert found.answers
    assert all(each.answer and each.answer == each.answer.strip() for each in found.answers)
    assert {word for each in found.answers for word in each.answer.split()} <= set(TEXT.split())
    reader = prepare(checkpoint, "who", TEXT)
    outputs = []
    reader.result, result = outputs.append, reader.result
    read(checkpoint, [reader], EXACT)
    assert reader.probability(outputs[0], result(outputs[0])) == near(found.answers[0].score)


def test_a_text_of_blanks_is_empty(blanks):
    with pytest.raises(ValueError, match="text is empty"):
        classify(blanks["sequence-classification"], " \n ")
