"""Questions with another passage than their own: a longer one that still holds the answer, or one that does not."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

UNANSWERED = {"text": [], "answer_start": []}


def lengthen(questions: Sequence[dict], tokenizer: PreTrainedTokenizerFast, tokens: int) -> list[dict]:
    """Each question with its passage amid neighbours of the file, at most `tokens` tokens in all.

    How many of them stand in front turns from question to question, so that answers lie everywhere.
    """
    passages, places = _passages(questions)
    encoded = tokenizer(passages, add_special_tokens=False, verbose=False)["input_ids"]
    lengths = [len(ids) for ids in encoded]
    longer = []
    for number, row in enumerate(questions):
        place = places[row["context"]]
        first, last = _neighbours(lengths, place, tokens, in_front=number % 4)
        longer.append(_amid(row, passages[first:place], passages[place + 1 : last + 1]))
    return longer


def _passages(questions: Sequence[dict]) -> tuple[list[str], dict[str, int]]:
    """The passages of a file, each once and in its order, and the place of each."""
    passages = list(dict.fromkeys(row["context"] for row in questions))
    return passages, {passage: place for place, passage in enumerate(passages)}


def _neighbours(lengths: Sequence[int], place: int, tokens: int, in_front: int) -> tuple[int, int]:
    """The first and last of the passages around `place` that fit into `tokens`, `in_front` of them before it if any."""
    first = last = place
    room = tokens - lengths[place]
    for step, most in ((-1, in_front), (1, len(lengths)), (-1, len(lengths))):
        for _ in range(most):
            neighbour = first - 1 if step < 0 else last + 1
            if not 0 <= neighbour < len(lengths) or lengths[neighbour] > room:
                break
            room -= lengths[neighbour]
            first, last = min(first, neighbour), max(last, neighbour)
    return first, last


def take_answers_away(questions: Sequence[dict], share: float) -> list[dict]:
    """About `share` of the questions, evenly spread, asked of the next passage of the file in which no answer occurs.

    Neighbours are of the same article where the file keeps articles together, so that a topic alone proves nothing.
    """
    passages, places = _passages(questions)
    return [
        _elsewhere(row, passages, places[row["context"]]) if int((i + 1) * share) > int(i * share) else row
        for i, row in enumerate(questions)
    ]


def _amid(row: dict, before: Sequence[str], after: Sequence[str]) -> dict:
    """A question whose passage stands between others, with its answers moved along."""
    shift = sum(len(passage) + 1 for passage in before)
    answers = row["answers"] | {"answer_start": [start + shift for start in row["answers"]["answer_start"]]}
    return row | {"context": "\n".join([*before, row["context"], *after]), "answers": answers}


def _elsewhere(row: dict, passages: Sequence[str], place: int) -> dict:
    """A question asked of the first later passage without its answers, or the row itself if every passage has one."""
    answers = [text.lower() for text in row["answers"]["text"]]
    for passage in [*passages[place + 1 :], *passages[:place]]:
        if not any(text in passage.lower() for text in answers):
            return row | {"context": passage, "answers": UNANSWERED}
    return row
