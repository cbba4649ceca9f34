"""From a BERT-shaped base and a data folder to the five checkpoints in the box: `python -m nystrom_demo.training`.

`convert` makes a Nyströmformer of the base, `train` trains its encoder under five heads at once with landmarks drawn
anew for each batch, `evaluate` measures every head at several numbers of landmarks, `export` writes the box, `card` its
model cards. `recipe.toml` holds every choice. Nothing else in the package needs this one.
"""
