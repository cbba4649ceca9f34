"""What a change of the bench leads to: checkpoint loaded, text counted, m brought within it, the open tab refreshed.

A tab's stamp says which bench the tab shows. Only the open tab's is brought up to date, and only a stamp that changed
refreshes its tab, so that other tabs compute nothing, nor does one that is reopened on the same bench.
"""

import functools
import hashlib
import html
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import gradio as gr

from nystrom_demo.attention import PINV_ITERATIONS
from nystrom_demo.checkpoints import BUNDLED, Checkpoint, CheckpointError, Library
from nystrom_demo.limits.validation import check_choice
from nystrom_demo.ui.events import AT_ONCE, LAST
from nystrom_demo.ui.examples import Example, example_of
from nystrom_demo.ui.readout import TextSize, checkpoint_line, count_tokens, describe, new_head_notice
from nystrom_demo.ui.sidebar import DEFAULT_LANDMARKS, Bench, BenchValues, suit_head

VALUES = len(fields(BenchValues))
# A box that is emptied on the way to another number counts as what it held: m and the pseudo-inverse's steps, by their
# places in `BenchValues`.
HELD = f"""(...values) => {{
  const held = (window.benchHeld ??= {{ 2: {DEFAULT_LANDMARKS}, 3: {PINV_ITERATIONS} }});
  for (const place in held) values[place] = held[place] = values[place] ?? held[place];
  return values;
}}"""


def wire_changes(
    bench: Bench,
    library: Library,
    examples: dict[str, Example],
    open_tab: gr.Textbox,
    stamps: dict[str, gr.Textbox],
    also: Sequence[Callable],
) -> None:
    """The bench's changes and those of `also` (events of other components) bring the open tab's stamp up to date.

    open_tab: a text box, set by the page itself, so that two answers that pass each other leave it right.
    """
    # Behind the gate, since it may have to load a checkpoint.
    settled = gr.on(
        [*(each.change for each in (bench.settled, bench.task, bench.device, bench.source)), *also],
        functools.partial(settle, library, examples),
        [*bench.inputs, bench.size, bench.served],
        [
            *(bench.text, bench.settled, bench.task, bench.source, bench.num_landmarks, bench.example),
            *(bench.size, bench.served, bench.notice),
        ],
        show_progress_on=bench.source,
        **LAST | {"show_progress": "minimal"},
    )
    settled.then(end_range, bench.size, bench.num_landmarks, **LAST, **AT_ONCE)
    stamping = (
        functools.partial(stamp, tuple(stamps)),
        [*bench.inputs, bench.layer, bench.head, bench.size, open_tab],
        [bench.readout, *stamps.values()],
    )
    settled.success(*stamping, **LAST, **AT_ONCE)  # with the tab that is open by then
    others = (bench.num_landmarks, bench.pinv_iterations, bench.inv_coeff_init_option, open_tab)
    gr.on([each.change for each in others], *stamping, js=HELD, **LAST, **AT_ONCE)


def settle(library: Library, examples: dict[str, Example], *args: Any) -> tuple[Any, ...]:
    """The bench after another text, task, device or checkpoint, in the order of `wire_changes`.

    A checkpoint that is refused is said in a sentence, and the one that served before stays.
    """
    values, (size, served) = BenchValues(*args[:VALUES]).checked(), args[VALUES:]
    values, checkpoint, reverted = _with_checkpoint(library, values, served)
    task_changed = values.task != served[1]
    text = suit_head(examples, values.task, values.text)[0] if task_changed else values.text
    new = TextSize(count_tokens(checkpoint, text), checkpoint.max_tokens)
    m = landmarks_for(values.num_landmarks, size, new)
    example, notice = example_of(text, examples), new_head_notice(checkpoint)
    text_update = gr.skip() if text == args[0] else text  # as it was typed, of which the check makes blanks
    return (
        text_update,
        text_update,
        gr.update(info=checkpoint_line(checkpoint), **({"value": values.task} if reverted else {})),
        values.source if reverted else gr.skip(),
        slide(m, values.num_landmarks, new.seen),
        example.name if example else None,
        new,
        (values.source, values.task),
        gr.update(value=notice, visible=bool(notice)),
    )


def _with_checkpoint(
    library: Library, values: BenchValues, served: tuple[str, str]
) -> tuple[BenchValues, Checkpoint, bool]:
    """(values, their checkpoint, whether another one than asked for): what is refused gives way to what served last."""
    check_choice("device", values.device, library.devices)
    for tried, (source, task) in enumerate([(values.source, values.task), served, (BUNDLED, values.task)]):
        try:
            checkpoint = library.load(source, task, values.device)
        except CheckpointError as refusal:
            gr.Warning(html.escape(str(refusal), quote=False))  # it draws markup, if only what it holds to be harmless
        else:
            return replace(values, source=source, task=task), checkpoint, tried > 0
    raise CheckpointError("No checkpoint answers here.")


def landmarks_for(num_landmarks: int, old: TextSize | int, new: TextSize) -> int:
    """m for another text: exact stays exact, any other m stays as far as the text goes.

    old: the text before, or the m of a link, which the page may not hold yet.
    """
    if isinstance(old, int):
        return min(old, new.seen)
    return new.seen if num_landmarks >= old.seen else min(max(num_landmarks, 1), new.seen)


def slide(m: int, held: int, end: int) -> Any:
    """The slider brought to m of `end`.

    The page sends the m that it holds until this reaches it, and gradio refuses what lies outside the range, so the
    range ends no lower than that yet: see `end_range`. An m that stays is not sent: the visitor may have moved on.
    """
    moved = {} if m == held else {"value": m}
    return gr.update(maximum=max(end, m, held), **moved)


def end_range(size: TextSize | int) -> Any:
    """The slider's end at the text's length, once the page holds an m within it."""
    return gr.skip() if isinstance(size, int) else gr.update(maximum=size.seen)


def stamp(tabs: Sequence[str], *args: Any) -> tuple[Any, ...]:
    """The readout, and the open tab's stamp brought up to date."""
    shown, (size, open_tab) = args[: VALUES + 2], args[VALUES + 2 :]  # with layer and head
    readout = (
        gr.skip() if isinstance(size, int) else describe(size, BenchValues(*shown[:VALUES]).checked().num_landmarks)
    )
    return readout, *(fingerprint(shown) if tab == open_tab else gr.skip() for tab in tabs)


def fingerprint(shown: Sequence[Any]) -> str:
    """A stamp for the bench's values with layer and head. A page may send 16 as 16.0."""
    plain = [int(value) if isinstance(value, float) and value.is_integer() else value for value in shown]
    return hashlib.sha256(repr(plain).encode("utf-8", "surrogatepass")).hexdigest()
