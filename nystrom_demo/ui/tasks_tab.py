"""Tasks: what each head answers under exact attention and under landmarks, side by side."""

import gradio as gr

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.ui.bench import Bench, BenchValues, Refresh, takes_bench


def build(bench: Bench, checkpoints: dict[str, Checkpoint]) -> Refresh:
    shown = gr.HTML(elem_id="tasks-shown")
    return Refresh(takes_bench(show), bench.inputs, [shown])


def show(values: BenchValues) -> str:
    return f"{values.num_landmarks}"
