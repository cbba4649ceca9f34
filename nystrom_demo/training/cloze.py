"""Questions made from running text: a sentence with a name, number or term hidden, asked of a passage that has it too.

After span selection (Glass et al. 2020, https://aclanthology.org/2020.acl-main.247) and recurring spans (Ram et al.
2021, https://aclanthology.org/2021.acl-long.239): what a text says twice makes a question and its answer, without
labels.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

REACH = 25  # passages to either side, of one article where the file keeps articles together
SHARED = 1  # content words, at least, that the sentence has in common with the answer's own
QUESTION = (40, 280)  # characters of a sentence that makes a good question
A_SENTENCE = 5  # questions at most
AN_ANSWER = 60  # questions at most, so that what is named everywhere is not asked for everywhere

_SENTENCE = re.compile(r"[^.!?]+(?:[.!?]+(?!\s+[A-Z\"“(]|\s*$)[^.!?]*)*[.!?]*")
_NAME = r"[A-Z][\w’'&-]*(?:\s+(?:(?:of|the|and|de|von|van|for)\s+){0,2}[A-Z0-9][\w’'&-]*)*"
_NUMBER = r"\d[\d,.]*\d%?|\d%?"
_TERM = r"[a-z][a-z-]{3,}(?:\s+[a-z][a-z-]{3,}){1,2}|[a-z][a-z-]{8,}"
_SPAN = re.compile(rf"(?<![\w-])(?:{_NAME}|{_NUMBER}|{_TERM})(?![\w-])")
_WORD = re.compile(r"\w+")
# Words that say nothing about what a sentence is about, and that no answer begins or ends with.
_COMMON = frozenset(
    _WORD.findall(
        "about above after again against along also although among another because been before being below between "
        "both but could does doing down during each even every from further have having here however into itself just "
        "later like made make many more most much must near never often once only other over own same several should "
        "since some such than that their them then there these they this those three through under until upon used "
        "very well were what when where which while whom whose will with within without would your the a an and are "
        "as at be by for had has he her him his i if in is it its no not of on or our she so to up was we who you "
        "first one two new may can all any did do how my out see use way"
    )
)


class _Place(NamedTuple):
    """Where a span stands: its passage, the sentence's characters there, and its own."""

    passage: int
    sentence: tuple[int, int]
    start: int


def cloze_questions(passages: Sequence[str]) -> list[dict]:
    """Questions in SQuAD's form: a sentence with [MASK] in place of a span that another sentence near by has too.

    Of the sentences within REACH passages that name the span, the one that shares most content words with the question
    is its answer's; the question's own sentence is taken out of the passage that it is asked of.
    """
    places = _places(passages)
    content = {
        place: _content(passages[place.passage][slice(*place.sentence)]) for group in places.values() for place in group
    }
    asked: Counter[tuple] = Counter()
    questions = []
    for span, group in places.items():
        for place, other in _pairs(span, group, content)[:AN_ANSWER]:
            key = (place.passage, place.sentence)
            asked[key] += 1
            if asked[key] <= A_SENTENCE:
                questions.append(_question(span, place, other, passages))
    return questions


def _places(passages: Sequence[str]) -> dict[str, list[_Place]]:
    """Every span of the passages, and where it stands."""
    places: dict[str, list[_Place]] = defaultdict(list)
    for number, passage in enumerate(passages):
        for sentence in _SENTENCE.finditer(passage):
            for match in _SPAN.finditer(passage, *sentence.span()):
                words = _WORD.findall(match[0].lower())
                if words[0] not in _COMMON and words[-1] not in _COMMON:
                    places[match[0]].append(_Place(number, sentence.span(), match.start()))
    return places


def _content(sentence: str) -> frozenset[str]:
    return frozenset(_WORD.findall(sentence.lower())) - _COMMON


def _pairs(span: str, group: Sequence[_Place], content: dict[_Place, frozenset[str]]) -> list[tuple[_Place, _Place]]:
    """For each place of a span that makes a question, the place near by that answers it best; the best pairs first."""
    own = _content(span)
    found = []
    for i, place in enumerate(group):
        if not QUESTION[0] <= place.sentence[1] - place.sentence[0] <= QUESTION[1]:
            continue
        best = max(_near(i, group), key=lambda other: len(content[place] & content[other]), default=None)
        if best is not None and (shared := len((content[place] & content[best]) - own)) >= SHARED:
            found.append((shared, place, best))
    return [(place, best) for _, place, best in sorted(found, key=lambda pair: -pair[0])]


def _near(i: int, group: Sequence[_Place]) -> Iterator[_Place]:
    """The places of a span within REACH passages of the i-th, but those in its own sentence; they are in order."""
    for step in (-1, 1):
        j = i + step
        while 0 <= j < len(group) and abs(group[j].passage - group[i].passage) <= REACH:
            if group[j][:2] != group[i][:2]:
                yield group[j]
            j += step


def _question(span: str, place: _Place, other: _Place, passages: Sequence[str]) -> dict:
    first, last = place.sentence
    sentence = passages[place.passage][first:last]
    hidden = place.start - first
    context, start = passages[other.passage], other.start
    if other.passage == place.passage:
        context = context[:first] + context[last:]
        start -= (last - first) if start >= last else 0
    return {
        "question": (sentence[:hidden] + "[MASK]" + sentence[hidden + len(span) :]).strip(),
        "context": context,
        "answers": {"text": [span], "answer_start": [start]},
    }
