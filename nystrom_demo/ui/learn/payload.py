"""What the tour's components are sent: a lesson and a scene as plain data."""

from dataclasses import asdict
from typing import Any

from nystrom_demo.lessons import Controls, Lesson, load_lessons
from nystrom_demo.lessons.formula import Node, inline, spoken, terms
from nystrom_demo.lessons.scene import Scene

# What the tour's own settings are as a step begins, by the names that the page's state gives them.
STEP_BEGINS = {"pinv_step" if name == "step" else name: value for name, value in asdict(Controls()).items()}


def text_payload(index: int, scene: Scene | None) -> dict[str, Any]:
    """Step `index` of the tour for the text component; without a scene nothing can be predicted."""
    lessons = load_lessons()
    lesson = lessons[index]
    prediction = lesson.prediction
    return {
        "index": index,
        "count": len(lessons),
        "start": STEP_BEGINS,
        "name": lesson.name,
        "title": lesson.title,
        "steps": [{"name": each.name, "title": each.title} for each in lessons],
        "prose": [_sentence(paragraph) for paragraph in lesson.prose.split("\n\n")],
        "formula": [_tree(line) for line in lesson.formula],
        "spoken": "; ".join(spoken(line) for line in lesson.formula),
        "links": term_links(lesson),
        "symbols": [{"name": _tree(symbol.name), "meaning": _sentence(symbol.meaning)} for symbol in lesson.defines],
        "task": _sentence(lesson.task),
        "question": _sentence(prediction.question.format_map(scene.facts if scene else _Blank())),
        "options": [{"name": name, "text": _sentence(text)} for name, text in prediction.options],
        "outcome": scene.outcome if scene else "",
        "because": _sentence(prediction.because.format(**scene.facts)) if scene else [],
    }


def picture_payload(index: int, scene: Scene | None, error: str = "") -> dict[str, Any]:
    """A scene for the picture component, or the sentence that says why there is none."""
    lessons = load_lessons()
    lesson = lessons[index]
    about = {"name": lesson.name, "title": lesson.title, "index": index, "count": len(lessons), "error": error}
    about["start"] = STEP_BEGINS
    nothing = {"rows": [], "readings": [], "summary": "", "note": ""}
    return about | (nothing if scene is None else scene.as_json())


def term_links(lesson: Lesson) -> dict[str, dict[str, str]]:
    """Symbols that are a whole term of the formula, such as "S", and the key and role they light in running text."""
    links: dict[str, dict[str, str]] = {}
    for line in lesson.formula:
        for term in terms(line):
            link = {"key": term.key, "role": term.role}
            if len(term.children) == 1 and term.children[0].kind == "letter":
                links.setdefault(term.children[0].text, link)
            elif len(term.children) == 1 and term.children[0].kind in ("hat", "tilde"):
                accented = term.children[0]
                links.setdefault(f"\\{accented.kind} {spoken(accented.children)}", link)
    return links


class _Blank(dict):
    """Leaves a question's places empty while there is no picture to fill them."""

    def __missing__(self, key: str) -> str:
        return "…"


def _sentence(text: str) -> list[dict]:
    return _tree(inline(text))


def _tree(nodes: tuple[Node, ...] | list[Node]) -> list[dict]:
    return [node.as_json() for node in nodes]
