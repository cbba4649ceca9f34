"""Error: how far landmark attention is from exact attention, and from the best of its rank."""

import gradio as gr

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.ui.bench import Bench, BenchValues, Refresh, takes_bench


def build(bench: Bench, checkpoints: dict[str, Checkpoint]) -> Refresh:
    shown = gr.HTML(elem_id="error-shown")
    return Refresh(takes_bench(show), bench.inputs, [shown])


def show(values: BenchValues) -> str:
    return f"{values.num_landmarks}"
