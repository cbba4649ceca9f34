"""A small gr.Blocks with every kind of input and ending that the app has, to test the server around it.

`python tests/small_app.py` serves it with the settings of the environment, as app.py serves the real one.
"""

import time
from collections.abc import Iterator

import gradio as gr
import torch

from nystrom_demo.limits.admission import admit
from nystrom_demo.limits.validation import check_choice, check_integer, check_text
from nystrom_demo.serving.launch import launch
from nystrom_demo.serving.settings import Settings

TASKS = ("words", "letters")
MAX_CHARS = 2_000
FAILURES = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "memory": MemoryError(),
    "secret": OSError("/etc/x"),
}


def count(text: str, task: str, top_k: int = 3) -> dict[str, int]:
    """How many words or letters a text has, and the top_k it was asked for."""
    text = check_text("text", text, MAX_CHARS)
    task = check_choice("task", task, TASKS)
    top_k = check_integer("top_k", top_k, 1, 11)
    a = torch.randn(64, 64)
    (a @ a).sum().item()
    return {"count": len(text.split()) if task == "words" else len(text), "top_k": top_k}


def say(text: str) -> dict[str, int]:
    """The number of characters of a text, after a moment's work."""
    time.sleep(0.02)
    return {"count": len(check_text("text", text, MAX_CHARS))}


def echo(text: str, task: str, top_k: float, switch: bool) -> tuple[str, str]:
    text = check_text("text", text, MAX_CHARS)
    return text, f"{task} {top_k} {switch}"


def sweep(steps: int) -> Iterator[str]:
    """A line for each of so many steps."""
    for step in range(check_integer("steps", steps, 1, 1000)):
        time.sleep(0.05)
        yield f"step {step}"


def fail(kind: str) -> str:
    """Raise what the kind says."""
    raise FAILURES[check_choice("kind", kind, tuple(FAILURES))]


def hold(megabytes: int) -> str:
    """Ask for so much memory."""
    admit(check_integer("megabytes", megabytes, 1, 10**9) << 20, "the array")
    return "held"


def light(value: bool, text: str) -> str:
    check_text("text", text, 100)
    return "on" if value else "off"


def build_app() -> gr.Blocks:
    with gr.Blocks(title="small", analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        text = gr.Textbox("one two", label="Text", elem_id="text", max_length=MAX_CHARS)
        task = gr.Dropdown(list(TASKS), value="words", label="Task", elem_id="task")
        kind = gr.Radio(list(FAILURES), value="exit", label="Failure")
        top_k = gr.Slider(1, 11, value=5, step=1, label="Top k")
        switch = gr.Checkbox(False, label="Switch", elem_id="switch")
        shown, state = gr.Textbox(label="Answer", elem_id="answer"), gr.Textbox(label="State", elem_id="state")
        button = gr.Button("Go", elem_id="go")
        start, stop = gr.Button("Sweep", elem_id="sweep"), gr.Button("Stop")
        private = {"api_visibility": "private"}
        button.click(echo, [text, task, top_k, switch], [shown, state], **private)
        kind.change(lambda kind: fail(kind), kind, shown, **private)
        running = start.click(lambda: (yield from sweep(200)), None, shown, **private)
        stop.click(None, cancels=[running], **private)
        switch.change(light, [switch, text], state, queue=False, **private)
        for endpoint in (count, say, sweep, fail, hold):
            gr.api(endpoint, api_name=endpoint.__name__)
    return demo


if __name__ == "__main__":
    torch.set_num_threads(1)
    launch(build_app(), Settings.from_env(), ready_check=lambda: torch.ones(3, 3).sum().item())
