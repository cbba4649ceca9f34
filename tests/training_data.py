"""A folder of tiny data sets in the formats that the training reads, and a recipe over them."""

import gzip
import json
from pathlib import Path

RECIPE = """
seed = 5
stages = [0]
masked = 0.2
[model]
max_position_embeddings = 128
conv_kernel_size = 3
num_landmarks = 8
[optimiser]
encoder_rate = 1e-3
head_rate = 1e-2
convolution_rate = 1e-2
weight_decay = 0.01
warmup_steps = 1
clip = 1.0
[landmarks]
exact_steps = 2
exact_share = 0.3
weights = { 2 = 1, 4 = 1 }
distil = 0.5
[labels]
sequence-classification = ["negative", "positive"]
token-classification = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
[[sources]]
task = "masked-lm"
file = "mlm_wiki/train.txt.gz"
lengths = { 16 = 1, 40 = 1 }
shares = [0.3]
tokens = 96
[[sources]]
task = "sequence-classification"
file = "sst2/train.tsv.gz"
shares = [0.2]
tokens = 64
[[sources]]
task = "token-classification"
file = "ner_uner_ewt/train.conll.gz"
pack = true
max_length = 32
shares = [0.2]
tokens = 64
[[sources]]
task = "question-answering"
file = "squad_v1.1_partial/train.jsonl.gz"
max_length = 64
shares = [0.2]
tokens = 128
[[sources]]
task = "multiple-choice"
file = "comve_explanation/train.jsonl.gz"
shares = [0.1]
tokens = 128
"""
# A recipe that goes on with one head, its tables as they are.
ANSWERS_RECIPE = """
goes_on_from = "recipe"
dropout = 0.1
[optimiser]
frozen = ["embeddings.word_embeddings"]
[[sources]]
task = "question-answering"
file = "squad_v1.1_partial/train.jsonl.gz"
max_length = 64
shares = [1.0]
tokens = 128
"""
REVIEWS = [("good film", 1), ("a bad film in the cold", 0), ("great", 1), ("bad play", 0), ("a great time", 1)]
SENTENCES = [
    [("John", "B-PER"), ("Smith", "I-PER"), ("went", "O"), ("to", "O"), ("London", "B-LOC")],
    [("Mary", "B-PER"), ("saw", "O"), ("New", "B-LOC"), ("York", "I-LOC"), (".", "O")],
    [("The", "O"), ("dog", "O"), ("sat", "O")],
]
PARAGRAPH = "Mary went to Paris. The small dog sat on the mat. John saw the river in the old city."
QUESTIONS = [
    {"question": "Where did Mary go?", "answers": {"text": ["Paris"], "answer_start": [13]}},
    {"question": "Who saw the river?", "answers": {"text": ["John"], "answer_start": [50]}},
]
CHOICES = [
    {"context": "He drank a house.", "question": "Why not?", "choices": ["big", "no water", "old"], "label": 1},
    {"context": "The cat read a book.", "question": "Why not?", "choices": ["a cat", "happy", "red"], "label": 0},
    {"context": "", "question": "Where is London?", "choices": ["in england", "in a cat"], "label": 0},
]


def make_data(folder: Path) -> Path:
    """Every data set that the tiny recipe and the measures read, training and validation alike."""
    reviews = "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in REVIEWS * 4)
    words = "".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) + "\n" for sentence in SENTENCES * 4)
    questions = [{"id": str(i), "title": "", "context": PARAGRAPH} | row for i, row in enumerate(QUESTIONS * 3)]
    choices = [{"id": str(i)} | row for i, row in enumerate(CHOICES * 3)]
    for split in ("train", "validation"):
        write(folder / f"sst2/{split}.tsv.gz", reviews)
        write(folder / f"movie_reviews/{split}.tsv.gz", reviews)
        write(folder / f"ner_uner_ewt/{split}.conll.gz", words)
        write(folder / f"squad_v1.1_partial/{split}.jsonl.gz", as_lines(questions))
        write(folder / f"comve_explanation/{split}.jsonl.gz", as_lines(choices))
        write(folder / f"mlm_wiki/{split}.txt.gz", f"{PARAGRAPH}\n" * 6)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def as_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
