"""Code for the view of one head: Python on the public package that prints the numbers that the page shows."""

from nystrom_demo.analysis import LayerInputs, attention_maps
from nystrom_demo.checkpoints import Checkpoint
from nystrom_demo.config import AttentionSettings
from nystrom_demo.snippets import loading
from nystrom_demo.ui.viewer.words import strongest_cell

_HEAD = """\
from nystrom_demo import AttentionSettings
from nystrom_demo.analysis import attention_maps, cell_recipe, collect_layers, head_factors
from nystrom_demo.checkpoints import load_checkpoint

text = {text!r}
layer, head = {layer}, {head}  # counted from 0, where the page counts from 1
settings = {settings!r}

checkpoint = {loader}
ids = checkpoint.tokenizer(text, return_tensors="pt")["input_ids"].to(checkpoint.device)
inputs = collect_layers(checkpoint.model, ids, layers=[layer])[0]
maps = attention_maps(inputs, head, settings)  # exact, landmark and difference, each (n, n)

print(f"misses the exact map by {{maps.difference.norm() / maps.exact.norm():.1%}}")
print(f"negative entries: {{int((maps.landmark < 0).sum()):,}}")
print(f"row sums: {{maps.landmark.sum(-1).min():.3f}} … {{maps.landmark.sum(-1).max():.3f}}")

i, j = {row}, {column}  # where the maps differ most
print(f"exact {{maps.exact[i, j]:.5f}}, landmarks {{maps.landmark[i, j]:.5f}}")
print(cell_recipe(head_factors(inputs, head, settings), i, j).round(5))  # its terms add up to the landmark value
"""


def code_for_head(
    checkpoint: Checkpoint, text: str, layer_inputs: LayerInputs, head: int, settings: AttentionSettings
) -> str:
    """A script that prints the head's error, negative entries, row sums, and the cell that the page begins with."""
    row, column = strongest_cell(attention_maps(layer_inputs, head, settings))
    return _HEAD.format(
        text=text,
        layer=layer_inputs.layer,
        head=head,
        settings=settings,
        loader=loading(checkpoint),
        row=row,
        column=column,
    )
