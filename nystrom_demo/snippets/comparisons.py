"""Code for the figures of the Compare tab."""

from collections.abc import Sequence

from nystrom_demo.snippets.parts import SAY_FIGURE, HeadView, loading

_SCRIPT = """\
import pandas as pd

from nystrom_demo import figures
from nystrom_demo.analysis import approximation_errors, collect_layers
from nystrom_demo.checkpoints import load_checkpoint

text = {text!r}
layer, head = {layer}, {head}  # counted from 0, where the page counts from 1
checkpoint = {loader}
ids = checkpoint.tokenizer(text, return_tensors="pt")["input_ids"].to(checkpoint.device)
inputs = collect_layers(checkpoint.model, ids, layers=[layer])  # q, k and v in an exact pass
tables = approximation_errors(
    inputs, budgets={budgets}, methods={methods}, seeds={seeds}, head=head
)
errors = pd.concat(tables, ignore_index=True)
figure = figures.{call}
"""


def for_comparison(
    view: HeadView, call: str, methods: Sequence[str], budgets: Sequence[int], seeds: Sequence[int]
) -> str:
    """A script that prints the errors of these methods as `call`, a function of `figures` on `errors`, draws them."""
    given = {"methods": list(methods), "budgets": list(budgets), "seeds": list(seeds)}
    where = {"text": view.text, "layer": view.layer, "head": view.head, "loader": loading(view.checkpoint)}
    return _SCRIPT.format(**where, **given, call=call) + SAY_FIGURE
