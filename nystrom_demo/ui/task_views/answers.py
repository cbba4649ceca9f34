"""Question answering: the answer lit in the passage, the next best below."""

from collections import Counter
from html import escape

import pandas as pd

from nystrom_demo.formatting import as_probability
from nystrom_demo.tasks import Answers
from nystrom_demo.ui.task_views.markup import Comparison, Stretch, bars, marked_text

# A passage longer than its box is scrolled to its answer.
SCROLL_JS = """
const centre = () => requestAnimationFrame(() => {
  for (const lit of element.querySelectorAll('.reading :is(mark.lit, mark.faint)')) {
    const box = lit.closest('.reading');
    const [inner, outer] = [lit, box].map((node) => node.getBoundingClientRect().top);
    box.scrollTop += inner - outer - box.clientHeight / 2;
  }
});
watch('value', centre);
centre();
"""


def compare(exact: Answers, landmark: Answers, context: str) -> Comparison:
    both = exact, landmark
    return Comparison(verdict(*both), [column(each, context) for each in both], [*map(table, both)])


def verdict(exact: Answers, landmark: Answers) -> str:
    if exact.no_answer and landmark.no_answer:
        return "Neither finds an answer in this text."
    if exact.no_answer:
        return "They differ: landmarks find an answer, exact attention does not."
    if landmark.no_answer:
        return "They differ: exact attention finds an answer, landmarks do not."
    here, there = exact.answers[0], landmark.answers[0]
    scores = f"{as_probability(here.score)} exactly, {as_probability(there.score)} over landmarks"
    if (here.start, here.end) == (there.start, there.end):
        return f"Both give the same answer: {scores}."
    if here.answer == there.answer:
        return f"Both give the same answer, at different places of the text: {scores}."
    if here.start < there.end and there.start < here.end:
        return f"The answers overlap: {scores}."
    return f"They point to different places: {scores}."


def column(result: Answers, context: str) -> str:
    if not result.answers:
        return '<p class="said">No answer</p>'
    best, *others = result.answers
    stretches = [Stretch(best.start, best.end, "faint" if result.no_answer else "lit", as_probability(best.score))]
    stretches += [Stretch(other.start, other.end, "next", as_probability(other.score)) for other in others]
    said = "No answer is likely here" if result.no_answer else best.answer
    rows = in_rows(result)
    rows.append(("no answer", result.no_answer_score))
    listed = bars(rows, marked=None if not result.no_answer else len(rows) - 1)
    return f'<p class="said" dir="auto">{escape(said)}</p>{listed}{marked_text(context, stretches, around=best.start)}'


def in_rows(result: Answers) -> list[tuple[str, float]]:
    """Each answer once, with its best place's probability; of one that the text has in several places, how many."""
    places = Counter(answer.answer for answer in result.answers)
    best = {answer.answer: answer.score for answer in reversed(result.answers)}
    return [(name if count == 1 else f"{name} (at {count} places)", best[name]) for name, count in places.items()]


def table(result: Answers) -> pd.DataFrame:
    """The answers in order; the last row, without a place in the text, is that there is none."""
    rows = [(each.answer, each.start, each.end, each.score) for each in result.answers]
    table = pd.DataFrame([*rows, ("no answer", None, None, result.no_answer_score)])
    return table.set_axis(["answer", "start", "end", "probability"], axis=1).astype({"start": "Int64", "end": "Int64"})
