"""The state of the page: all that a visitor has set, on the sidebar and on every tab, as one frozen object.

The browser keeps it, sends it with each request and remembers it for a reload; a permalink is this object written down.
Each field says once what it may hold, how a link names it, and which tabs show something else when it changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from nystrom_demo.approximations import APPROXIMATIONS
from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.benchmark import METHODS
from nystrom_demo.benchmark.sweep import DEFAULT_METHODS
from nystrom_demo.checkpoints import BUNDLED, Checkpoint, Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.lessons import Controls, load_lessons
from nystrom_demo.limits.validation import shown
from nystrom_demo.tasks import TASKS
from nystrom_demo.ui import kinds
from nystrom_demo.ui.examples import Example, example_for, example_of, load_examples
from nystrom_demo.ui.kinds import Kind

FIRST_TASK = "sequence-classification"
DEFAULT_LANDMARKS = 16
MAX_PINV_ITERATIONS = 20
MAX_SOURCE_CHARS = 200  # of a checkpoint's name; a Hub id has at most 193
TABS = ("learn", "tasks", "attention", "error", "compare", "time")
ITERATING = ("learn", "tasks", "attention", "error")  # those whose pseudo-inverse takes the steps that are set
READING = (*ITERATING, "compare")  # those that read the text
ANSWERING = ("tasks", "compare")
MEASURES = ("frobenius", "spectral", "output")
COMPARED = ("agent", "best-rank", "clustered", "nystrom-farthest", "nystrom-kmeans", "nystrom")  # unless chosen
COMPARED_BY = ("frobenius", "output")
COSTS = ("multiply_adds", "numbers_held")
LONG_TEXTS = ("text", "random")
LENGTHS = tuple(2**power for power in range(8, 18))
SCOPES = ("attention", "model")
PASSES = ("forward", "backward")
DTYPES = ("float32", "bfloat16", "float16")
_TOUR = Controls()


class Entry(NamedTuple):
    """kind: of the field's value. link: its name in a link. called: its name in a sentence.

    tabs: those that show something else when it changes; a change that no open tab shows asks nothing of the server.
    """

    kind: Kind
    link: str
    called: str
    tabs: tuple[str, ...]


def _entry(default: Any, kind: Kind, link: str, tabs: tuple[str, ...] = (), called: str = "") -> Any:
    return field(default=default, metadata={"entry": Entry(kind, link, called or link.replace("_", " "), tabs)})


@dataclass(frozen=True)
class PageState:
    """What the page holds.

    text, example: what the visitor typed, or the example picked. Where both are None nobody has chosen yet, and the
    text is the task's own example. num_landmarks: the m that was chosen, 0 for exact attention, however short the text.
    masks, question, choices_question, options: None where they are the example's own. layer, head, step, cell and the
    characters of masks count from 0.
    """

    text: str | None = _entry(None, kinds.optional(kinds.text()), "text", READING)
    task: str = _entry(FIRST_TASK, kinds.one_of(tuple(TASKS)), "task", READING)
    num_landmarks: int = _entry(DEFAULT_LANDMARKS, kinds.landmarks(), "m", TABS, "landmarks")
    pinv_iterations: int = _entry(
        PINV_ITERATIONS, kinds.whole(0, MAX_PINV_ITERATIONS), "steps", (*ITERATING, "time"), "pseudo-inverse steps"
    )
    inv_coeff_init_option: bool = _entry(False, kinds.switch("own", "heads"), "estimate", ITERATING, "first estimate")
    device: str = _entry("cpu", kinds.name(40), "device", TABS)
    source: str = _entry(BUNDLED, kinds.name(MAX_SOURCE_CHARS), "checkpoint", READING)
    example: str | None = _entry(None, kinds.optional(kinds.one_of(tuple(load_examples()))), "example", READING)
    tab: str = _entry("learn", kinds.one_of(TABS), "tab")
    layer: int = _entry(0, kinds.index(1_000), "layer", ("learn", "attention", "error", "compare"))
    head: int = _entry(0, kinds.index(1_000), "head", ("learn", "attention", "error", "compare"))
    step: int = _entry(0, kinds.index(len(load_lessons())), "step", ("learn",))
    pinv_step: int = _entry(_TOUR.step, kinds.whole(0, 12), "pinv_step", ("learn",))
    average_padding: bool = _entry(_TOUR.average_padding, kinds.switch(), "average_padding", ("learn",))
    padding: int = _entry(_TOUR.padding, kinds.whole(0, 100), "padding", ("learn",))
    sharpness: float = _entry(_TOUR.sharpness, kinds.real(0, 15), "sharpness", ("learn",))
    masks: tuple[tuple[int, int], ...] | None = _entry(
        None, kinds.optional(kinds.spans()), "hidden", ANSWERING, "hidden words"
    )
    question: str | None = _entry(None, kinds.optional(kinds.text()), "question", ANSWERING)
    choices_question: str | None = _entry(None, kinds.optional(kinds.text()), "asked", ANSWERING, "question")
    options: str | None = _entry(None, kinds.optional(kinds.text()), "options", ANSWERING)
    with_passage: bool = _entry(True, kinds.switch(), "passage", ANSWERING, "read the text first")
    cell: tuple[int, int] | None = _entry(None, kinds.optional(kinds.cell()), "cell")
    measure: str = _entry("frobenius", kinds.one_of(MEASURES), "measure", ("error",), "error")
    approximations: tuple[str, ...] = _entry(
        COMPARED, kinds.some_of(tuple(APPROXIMATIONS)), "approximations", ("compare",)
    )
    compared_by: str = _entry("frobenius", kinds.one_of(COMPARED_BY), "compared_by", ("compare",), "error compared")
    cost: str = _entry("multiply_adds", kinds.one_of(COSTS), "cost", ("compare",))
    long_text: str = _entry("text", kinds.one_of(LONG_TEXTS), "long", (), "source")
    methods: tuple[str, ...] = _entry(DEFAULT_METHODS, kinds.some_of(tuple(METHODS)), "methods")
    longest: int = _entry(16_384, kinds.one_of(LENGTHS, kinds.number), "longest", (), "longest text")
    scope: str = _entry("attention", kinds.one_of(SCOPES), "scope", (), "what is measured")
    passes: str = _entry("forward", kinds.one_of(PASSES), "passes")
    dtype: str = _entry("float32", kinds.one_of(DTYPES), "dtype", (), "number format")
    num_heads: int = _entry(12, kinds.whole(1, 32), "heads")
    head_dim: int = _entry(64, kinds.whole(8, 256), "head_dim", ("time",), "head dimension")
    batch: int = _entry(1, kinds.whole(1, 32), "batch")
    num_layers: int = _entry(4, kinds.whole(1, 24), "layers")
    repeats: int = _entry(5, kinds.whole(1, 20), "repeats")
    budget: float = _entry(2.0, kinds.real(0.1, 20), "budget", (), "seconds a point")

    def settings(self) -> AttentionSettings:
        """The chosen landmark attention, or exact attention at 0 landmarks."""
        if not self.num_landmarks:
            return EXACT
        return AttentionSettings("nystrom", self.num_landmarks, self.pinv_iterations, self.inv_coeff_init_option)

    def checkpoint(self, library: Library) -> Checkpoint:
        """The chosen checkpoint under the chosen head on the chosen device; a CheckpointError says why there is none.

        Loads it where nobody asked for it lately, so only what runs behind the gate may call this.
        """
        return library.load(self.source, self.task, self.device)

    def resolved(self, examples: Mapping[str, Example]) -> "PageState":
        """The same with its text written out, and question and options with it: the example's own, or empty."""
        text = self.text
        if text is None:
            text = (examples[self.example] if self.example else example_for(self.task, examples)).text
        example = example_of(text, examples)
        own = {
            "question": example.question if example else "",
            "choices_question": example.choices_question if example else "",
            "options": "\n".join(example.choices) if example else "",
        }
        given = {name: value for name, value in own.items() if getattr(self, name) is None}
        return replace(self, text=text, example=example.name if example else None, **given)


ENTRIES: dict[str, Entry] = {each.name: each.metadata["entry"] for each in fields(PageState)}


def checked(values: Mapping[str, Any]) -> PageState:
    """The state that these values make. ValueError, in one sentence, for one that is out of its range or not ours."""
    unknown = [name for name in values if name not in ENTRIES]
    if unknown:
        raise UserError(f"The page's state has no {shown(unknown[0])}.")
    return PageState(**{name: ENTRIES[name].kind.check(ENTRIES[name].called, value) for name, value in values.items()})
