"""From a BERT-shaped base and a data folder to the five checkpoints in the box: `python -m nystrom_demo.training`.

`convert` makes a Nyströmformer of the base, `train` trains its encoder under its heads with landmarks drawn anew for
each batch, `average` takes the mean of runs, `evaluate` measures every head at several numbers of landmarks, `export`
writes the box, `card` its model cards. `recipes/` holds every choice: `common.toml` trains five heads on one encoder,
each other one goes on, with a head or two, from the recipe that it names. Nothing else in the package needs this one.
"""
