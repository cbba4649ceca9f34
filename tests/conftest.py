"""Fixtures that several test modules share."""

import pytest
from tiny_box import make_tiny_box

from nystrom_demo.checkpoints import Checkpoint, load_bundled


@pytest.fixture(scope="session")
def tiny_box(tmp_path_factory):
    """Folder of a box with five tiny checkpoints of random weights."""
    return make_tiny_box(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def tiny_checkpoints(tiny_box) -> dict[str, Checkpoint]:
    """The five tiny checkpoints by task, loaded as the bundled ones are: one trunk in all of them."""
    return load_bundled("cpu", box=tiny_box)
