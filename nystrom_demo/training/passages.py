"""Questions with another passage than their own: a longer one that still holds the answer, or one that does not."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

UNANSWERED = {"text": [], "answer_start": []}


def lengthen(questions: Sequence[dict], tokenizer: PreTrainedTokenizerFast, tokens: int) -> list[dict]:
    """Each question with its passage amid neighbours of the file, up to about `tokens` tokens in all.

    Where in the long passage the own one stands turns from question to question, so that answers lie everywhere.
    """
    passages = list(dict.fromkeys(row["context"] for row in questions))
    encoded = tokenizer(passages, add_special_tokens=False, verbose=False)["input_ids"]
    lengths = dict(zip(passages, map(len, encoded), strict=True))
    places = {passage: place for place, passage in enumerate(passages)}
    longer = []
    for number, row in enumerate(questions):
        first = last = places[row["context"]]
        room = tokens - lengths[row["context"]]
        before = number % 4 / 3 * room  # tokens in front of it: none, a third, two thirds, all
        while first > 0 and lengths[passages[first - 1]] <= min(before, room):
            first -= 1
            room, before = room - lengths[passages[first]], before - lengths[passages[first]]
        while last + 1 < len(passages) and lengths[passages[last + 1]] <= room:
            last += 1
            room -= lengths[passages[last]]
        longer.append(
            _amid(row, passages[first : places[row["context"]]], passages[places[row["context"]] + 1 : last + 1])
        )
    return longer


def take_answers_away(questions: Sequence[dict], share: float) -> list[dict]:
    """About `share` of the questions, evenly spread, asked of the next passage of the file in which no answer occurs.

    Neighbours are of the same article where the file keeps articles together, so that a topic alone proves nothing.
    """
    passages = list(dict.fromkeys(row["context"] for row in questions))
    places = {passage: place for place, passage in enumerate(passages)}
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
