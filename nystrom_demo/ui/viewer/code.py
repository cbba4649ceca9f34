"""Code for the view of one head: Python on the public package that prints the numbers that the page shows."""

from nystrom_demo.snippets import HeadView, reading_head

_HEAD = """\
from nystrom_demo import AttentionSettings
from nystrom_demo.analysis import attention_maps, cell_recipe, collect_layers, head_factors
from nystrom_demo.checkpoints import load_checkpoint
from nystrom_demo.formatting import percent

{reading}maps = attention_maps(inputs, head, settings)  # exact, landmark and difference, each (n, n)

print(f"misses the exact map by {{percent(maps.difference.norm() / maps.exact.norm())}}")
print(f"negative entries: {{int((maps.landmark < 0).sum()):,}}")
print(f"row sums: {{maps.landmark.sum(-1).min():.3f}} … {{maps.landmark.sum(-1).max():.3f}}")

i, j = {row}, {column}  # where the maps differ most
print(f"exact {{maps.exact[i, j]:.5f}}, landmarks {{maps.landmark[i, j]:.5f}}")
print(cell_recipe(head_factors(inputs, head, settings), i, j).round(5))  # its terms add up to the landmark value
"""


def code_for_head(view: HeadView, cell: tuple[int, int]) -> str:
    """A script that prints the head's error, negative entries, row sums, and the `cell` that the page begins with."""
    row, column = cell
    return _HEAD.format(reading=reading_head(view), row=row, column=column)
