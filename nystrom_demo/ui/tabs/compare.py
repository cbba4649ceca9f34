"""Compare: many approximations of one head against budget and cost, and what the answer notices.

The figures grow a method at a time; the answers under each method follow them.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd
import plotly.graph_objects as go

from nystrom_demo import figures
from nystrom_demo.analysis import LayerInputs, approximation_errors, landmark_ladder
from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.checkpoints import Checkpoint, Library
from nystrom_demo.config import AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import as_probability
from nystrom_demo.limits.admission import admit_answer, admit_approximation, admit_spectrum
from nystrom_demo.limits.cache import ANSWERS, about
from nystrom_demo.snippets import HeadView
from nystrom_demo.snippets.comparisons import for_comparison
from nystrom_demo.tasks import compare_approximations, prepare
from nystrom_demo.tasks.reading import BATCH_TOKENS
from nystrom_demo.ui.examples import Example, are_examples, load_examples
from nystrom_demo.ui.export import emptied, figure_slot, note
from nystrom_demo.ui.sidebar import head_within, heads_of
from nystrom_demo.ui.state import COMPARED, COMPARED_BY, COSTS, PageState
from nystrom_demo.ui.tabs.attention import ReadText, TextReader
from nystrom_demo.ui.task_views.inputs import hidden_spans, task_inputs
from nystrom_demo.ui.task_views.markup import message
from nystrom_demo.ui.task_views.registry import TASK_VIEWS
from nystrom_demo.ui.view import EVERYTHING, Values, View, slotted

LEAST_BUDGET = 4
SEEDS = (0, 1, 2)
MOST_TOKENS = 1_024  # past it a method takes longer at all budgets than anyone waits
PLOT_HEIGHT, LEGEND_LINE = 330, 20  # pixels; the names are long, so the legend has a line for each
LOOKS = frozenset({"compared_by", "cost"})  # what draws the same errors otherwise
OF_A_HEAD = frozenset({"layer", "head"})  # what no answer depends on, since all heads attend alike there
OF_AN_ANSWER = frozenset({"num_landmarks", "masks", "question", "choices_question", "options", "with_passage"})
FIGURES = ("against_budget", "against_cost")
CHANCE = "Where a method draws at random, its bar goes from the least to the greatest error of three seeds."
FRONT = "The broad grey line joins what nothing beats in both. Oracles, which save nothing, are left out of it."


class Comparison(NamedTuple):
    """What is known so far: the errors, two figures of them, and what to look at in one sentence."""

    errors: pd.DataFrame
    against_budget: go.Figure
    against_cost: go.Figure
    sentence: str


class Parts(NamedTuple):
    """The tab's components, and what each shows; of a figure, its slot."""

    lead: Any
    against_budget: Any
    against_cost: Any
    answers: Any


class Asked(NamedTuple):
    """The head to look at, its layer's q, k, v, the methods that memory has room for, and why not for the others."""

    view: HeadView
    layer_inputs: LayerInputs
    methods: tuple[str, ...]
    refused: tuple[str, ...]


def build(checkpoints: Library, store: gr.HTML) -> View:
    """The tab's components."""
    reader, examples = TextReader(checkpoints, kept=1), load_examples()
    lead = gr.HTML(elem_id="compare-lead")
    inputs = _build_inputs(checkpoints)
    with gr.Row(elem_classes="figures"):
        against_budget = figure_slot("Error against budget", "compare-budget")
        against_cost = figure_slot("Error against cost", "compare-cost", "counted, not measured")
    answers = gr.HTML(elem_id="compare-answers")
    parts = Parts(lead, against_budget, against_cost, answers)

    def fill(state: PageState, changed: frozenset[str]) -> Iterator[Values]:
        return (wired_parts(parts, piece) for piece in show(reader, examples, state, changed))

    def refuse(state: PageState, sentence: str) -> Values:
        gone = dict.fromkeys(FIGURES, emptied())
        return wired_parts(parts, {"lead": message(sentence), "answers": "", **gone})

    return View(fill, refuse, [lead, *against_budget, *against_cost, answers], inputs, lead)


def wired_parts(parts: Parts, piece: dict[str, Any]) -> Values:
    """Named results under their components, a figure's under those of its slot."""
    values: Values = {}
    for name, result in piece.items():
        values |= slotted(getattr(parts, name), result) if name in FIGURES else {getattr(parts, name): result}
    return values


def _build_inputs(checkpoints: Library) -> dict[str, gr.components.Component]:
    """What is compared, by the names of `View.inputs`."""
    layers, heads = heads_of(next(iter(checkpoints.values())))
    slider = functools.partial(gr.Slider, step=1, min_width=180, buttons=[])
    with gr.Row(elem_id="compare-controls", elem_classes="controls"):
        chosen = {
            f"compare_{name.lower()}": slider(1, max(size, 2), 1, label=name, elem_id=f"compare-{name.lower()}")
            for name, size in (("Layer", layers), ("Head", heads))
        }
        chosen["compared_by"] = _segmented("Error of the", ("map", "output S·V"), COMPARED_BY)
        chosen["cost"] = _segmented("Cost in", ("multiply-adds", "numbers held"), COSTS)
    with gr.Accordion(f"Choose among {len(APPROXIMATIONS)} methods", open=False, elem_id="compare-methods-section"):
        chosen["approximations"] = gr.CheckboxGroup(
            [(method.label, name) for name, method in APPROXIMATIONS.items()],
            value=list(COMPARED),
            label="Methods",
            show_label=False,
            elem_id="compare-methods",
        )
    return chosen


def _segmented(label: str, labels: Sequence[str], values: Sequence[str]) -> gr.Radio:
    choices = list(zip(labels, values, strict=True))
    elem_id = f"compare-{label.split()[0].lower()}-choice"
    return gr.Radio(choices, value=values[0], label=label, elem_id=elem_id, elem_classes="segmented", min_width=200)


def show(
    reader: TextReader, examples: Mapping[str, Example], state: PageState, changed: frozenset[str] = EVERYTHING
) -> Iterator[dict[str, Any]]:
    """`Parts` by name: the figures a method at a time, then the answers. What depends on nothing that changed stays."""
    asked = ask(reader, state)
    if changed - OF_AN_ANSWER:
        if changed - LOOKS:
            yield {"lead": "", **dict.fromkeys(FIGURES, emptied())}
        yield from draw_figures(asked, state, whole=changed <= LOOKS)
    if changed - LOOKS - OF_A_HEAD:
        yield {"answers": ""}
        yield from ({"answers": answer} for answer in answers_of(asked, examples, state))


def ask(reader: TextReader, state: PageState) -> Asked:
    """What is compared. ValueError, in one sentence, where nothing can be."""
    if not state.approximations:
        raise UserError("Choose a method, and it is compared with exact attention here.")
    text, checkpoint = reader.read(state), state.checkpoint(reader.checkpoints)
    if text.num_tokens > MOST_TOKENS:
        raise UserError(
            f"Methods are compared on up to {MOST_TOKENS:,} tokens, since each takes the map whole at every budget; "
            f"this text has {text.num_tokens:,}."
        )
    admit_spectrum(text.num_tokens)
    refused = refusals(text, state.approximations)
    if len(refused) == len(state.approximations):
        raise UserError(" ".join(refused.values()), reason="memory")
    layer, head = head_within(text.shape, state.layer, state.head)
    view = HeadView(checkpoint, state.text, layer, head, state.settings())
    methods = tuple(name for name in state.approximations if name not in refused)
    return Asked(view, text.layers[layer], methods, tuple(refused.values()))


def refusals(text: ReadText, methods: Sequence[str]) -> dict[str, str]:
    """The methods that memory has no room for on this text, and the sentence that says so of each."""
    one, refused = text.layers[0], {}
    for name in methods:
        try:
            admit(one, name)
        except UserError as error:
            refused[name] = str(error)
    return refused


def admit(layer_inputs: LayerInputs, name: str) -> None:
    """Admit a method at the largest of the budgets that are compared."""
    text = layer_inputs.text()
    admit_approximation(name, text.num_heads, text.num_tokens, budgets_of(text.num_tokens)[-1], text.q.shape[-1])


def budgets_of(num_tokens: int) -> list[int]:
    """The budgets that are compared on a text: powers of two from 4 up to its length."""
    return [m for m in landmark_ladder(num_tokens)[:-1] if m >= LEAST_BUDGET] or [1]


def draw_figures(asked: Asked, state: PageState, *, whole: bool) -> Iterator[dict[str, Any]]:
    """The sentence and both figures after each method, or of all of them once."""
    view = asked.view
    key = about(
        view.checkpoint.model,
        "approximations",
        view.text,
        view.layer,
        view.head,
        asked.methods,
        shared=are_examples(view.text),
    )
    tables = ANSWERS.replay(key, lambda: head_errors(asked.layer_inputs, view.head, asked.methods))
    for errors in list(tables)[-1:] if whole else tables:
        yield drawn(asked, comparison_of(errors, state.compared_by, state.cost), state)


def drawn(asked: Asked, comparison: Comparison, state: PageState) -> dict[str, Any]:
    """The sentence and both slots."""
    view, told = asked.view, "".join(map(note, asked.refused))
    budgets = sorted(comparison.errors.budget.unique().tolist())
    calls = {
        "against_budget": f'error_against_budget(errors, "{state.compared_by}")',
        "against_cost": f'error_against_cost(errors, "{state.cost}", "{state.compared_by}")',
    }
    notes = {"against_budget": CHANCE if comparison.errors.seed.nunique() > 1 else "", "against_cost": FRONT}
    slots = {
        name: (getattr(comparison, name), note(notes[name]), for_comparison(view, call, asked.methods, budgets, SEEDS))
        for name, call in calls.items()
    }
    sentence = f"Layer {view.layer + 1}, head {view.head + 1}. {comparison.sentence}"
    said = escape(sentence).replace(" %", "\N{NO-BREAK SPACE}%")
    return {"lead": f'<p class="verdict">{said}</p>{told}', **slots}


def compare_head(
    layer_inputs: LayerInputs,
    head: int,
    methods: Sequence[str] = COMPARED,
    *,
    measure: str = "frobenius",
    cost: str = "multiply_adds",
    seeds: Sequence[int] = SEEDS,
) -> Iterator[Comparison]:
    """The comparison so far, on a layer's first text: each method with the first seed, then chance with the others.

    UserError of a method that memory has no room for, before anything is computed.
    """
    for name in methods:
        admit(layer_inputs, name)
    for errors in head_errors(layer_inputs, head, methods, seeds):
        yield comparison_of(errors, measure, cost)


def head_errors(
    layer_inputs: LayerInputs, head: int, methods: Sequence[str], seeds: Sequence[int] = SEEDS
) -> Iterator[pd.DataFrame]:
    """The errors so far, a method more each time, in the order of methods, budgets and seeds."""
    text, found = layer_inputs.text(), {name: pd.DataFrame() for name in methods}
    for seed in seeds:
        wanted = [name for name in methods if seed == seeds[0] or get(name).random]
        wanted.sort(key=lambda name: get(name).oracle)  # the slow ones last: most take a decomposition or the map whole
        tables = approximation_errors([text], budgets_of(text.num_tokens), wanted, [seed], head=head) if wanted else ()
        for name, table in zip(wanted, tables, strict=True):
            found[name] = pd.concat([found[name], table]).sort_values(["budget", "seed"])
            yield pd.concat([each for each in found.values() if len(each)], ignore_index=True)


def comparison_of(errors: pd.DataFrame, measure: str = "frobenius", cost: str = "multiply_adds") -> Comparison:
    """The same errors drawn for another measure or another cost, without computing them anew."""
    height = PLOT_HEIGHT + LEGEND_LINE * (errors.method.nunique() + 1)
    against_budget = figures.error_against_budget(errors, measure, height=height)
    against_cost = figures.error_against_cost(errors, cost, measure, height=height)
    return Comparison(errors, against_budget, against_cost, figures.summary_of(against_budget))


def answers_of(asked: Asked, examples: Mapping[str, Example], state: PageState) -> Iterator[str]:
    """The table of answers so far, or the sentence that says what the head still needs."""
    checkpoint, view = asked.view.checkpoint, TASK_VIEWS[state.task]
    masks = hidden_spans(checkpoint, examples, state) if "board" in view.shows else []
    inputs = task_inputs(state, masks)
    missing = view.missing(checkpoint, inputs)
    if missing:
        yield note(f"No answers yet. On the Tasks tab: {missing}")
        return
    head_inputs, m = view.head_inputs(checkpoint, inputs), state.num_landmarks
    asked_for = prepare(checkpoint, *head_inputs)
    for name in asked.methods:
        settings = AttentionSettings(name, m)
        admit_answer(checkpoint.model.config, asked_for, settings, BATCH_TOKENS, with_exact=True)
    key = about(
        checkpoint.model, "answers under methods", head_inputs, asked.methods, m, shared=are_examples(*head_inputs)
    )
    tables = ANSWERS.replay(
        key, lambda: answers_under(checkpoint, *head_inputs, methods=asked.methods, num_landmarks=m)
    )
    yield from (table_of(table, m) for table in tables)


def answers_under(
    checkpoint: Checkpoint, *inputs, methods: Sequence[str] = COMPARED, num_landmarks: int = 64, seed: int = 0
) -> Iterator[pd.DataFrame]:
    """The head's answers so far, exact attention's first: columns method, answer, probability, agrees."""
    points = []
    for point in compare_approximations(checkpoint, *inputs, methods=methods, num_landmarks=num_landmarks, seed=seed):
        points.append(point)
        yield pd.DataFrame(points)


def table_of(answers: pd.DataFrame, num_landmarks: int) -> str:
    """The answers as a table with its heading."""
    rows = "".join(
        f'<tr><th scope="row">{escape(_label(point.method))}</th><td dir="auto">{escape(point.answer)}</td>'
        f"<td>{escape(as_probability(point.probability))}</td><td>{'yes' if point.agrees else 'no'}</td></tr>"
        for point in answers.itertuples()
    )
    return (
        f'<h3 class="caption">What the head answers when all its layers attend so, at m = {num_landmarks:,}</h3>'
        '<div class="table worded" tabindex="0" role="region" aria-label="Answers under each method"><table><thead><tr>'
        '<th scope="col">method</th><th scope="col">answer</th><th scope="col">probability of the exact answer</th>'
        f'<th scope="col">same answer</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _label(method: str) -> str:
    return "exact attention" if method == "exact" else get(method).label
