"""Questions that text makes of itself."""

import gzip
import json

import pytest
from tiny_checkpoints import make_tokenizer

from nystrom_demo.training import cloze
from nystrom_demo.training.data import read_examples
from nystrom_demo.training.recipe import Source, read_recipe

BORN = "Ada Lovelace was born in London in 1815 to the poet Lord Byron."
DIED = "In 1852 she died, and the poet Lord Byron, her father, lies next to her."
OTHER = "Lord Byron travelled through Portugal."
PASSAGES = [f"{BORN} She never knew him.", "Nothing is said of it here. Nothing at all.", f"{DIED} It rains."]


def test_a_question_is_a_sentence_with_a_span_hidden_that_its_passage_says_elsewhere():
    questions = cloze.cloze_questions(PASSAGES)
    assert {row["answers"]["text"][0] for row in questions} == {"Lord Byron"}
    first, second = questions
    assert first == {
        "question": BORN.replace("Lord Byron", "[MASK]"),
        "context": PASSAGES[2],
        "answers": {"text": ["Lord Byron"], "answer_start": [PASSAGES[2].index("Lord Byron")]},
    }
    assert (second["question"], second["context"]) == (DIED.replace("Lord Byron", "[MASK]"), PASSAGES[0])


def test_a_sentence_is_not_in_the_passage_that_it_is_asked_of():
    passage = f"{BORN} {DIED} It rains."
    questions = cloze.cloze_questions([passage])
    assert len(questions) == 2
    for row in questions:
        (start,) = row["answers"]["answer_start"]
        assert row["context"][start:].startswith("Lord Byron")
        assert row["question"].replace("[MASK]", "Lord Byron") not in row["context"]
        assert len(row["context"]) < len(passage)


@pytest.mark.parametrize(
    "passages",
    [
        pytest.param([BORN, OTHER], id="nothing else in common"),
        pytest.param([BORN, *["Silence."] * cloze.REACH, DIED], id="out of reach"),
        pytest.param(["Byron wrote poems.", "Byron liked poems."], id="too short"),
        pytest.param(["The the a of.", ""], id="nothing to hide"),
    ],
)
def test_what_would_make_a_poor_question_makes_none(passages):
    assert cloze.cloze_questions(passages) == []


def test_a_source_of_questions_gives_those_of_its_passages(tmp_path):
    rows = [
        {"question": "Who?", "context": passage, "answers": {"text": [], "answer_start": []}} for passage in PASSAGES
    ]
    with gzip.open(tmp_path / "asked.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, rows * 2)))
    source = Source("question-answering", (1.0,), 64, "asked.jsonl.gz", cloze=True)
    tokenizer = make_tokenizer(512)
    examples = read_examples(source, read_recipe(), tmp_path, tokenizer)
    assert len(examples) == 2
    for example in examples:
        first, last = example.target
        assert tokenizer.decode(example.sequences[0][first : last + 1]) == "lord byron"
        assert tokenizer.mask_token_id in example.sequences[0][: example.second[0]]


def test_an_answer_and_a_sentence_are_not_asked_too_often():
    sentence = (
        "Lord Byron and Ada Lovelace saw Venice, Geneva, Ravenna, Genoa, Bath and Rome in the year {}, with friends."
    )
    passages = [sentence.format(1700 + year) for year in range(2 * cloze.AN_ANSWER)]
    questions = cloze.cloze_questions(passages)
    answers = [row["answers"]["text"][0] for row in questions]
    whole = [row["question"].replace("[MASK]", answer) for row, answer in zip(questions, answers, strict=True)]
    assert max(map(answers.count, answers)) <= cloze.AN_ANSWER
    assert max(map(whole.count, whole)) == cloze.A_SENTENCE
