"""Time: what exact and landmark attention cost on this device as the text grows."""

import gradio as gr

from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.ui.bench import Bench, BenchValues, Refresh, takes_bench


def build(bench: Bench, checkpoints: dict[str, Checkpoint]) -> Refresh:
    shown = gr.HTML(elem_id="time-shown")
    return Refresh(takes_bench(show), bench.inputs, [shown])


def show(values: BenchValues) -> str:
    return f"{values.num_landmarks}"
