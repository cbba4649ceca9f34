from nystrom_demo.checkpoints import TASKS


def test_the_bundled_heads_share_one_trunk(tiny_checkpoints):
    assert tuple(tiny_checkpoints) == TASKS
    assert len({id(checkpoint.model.nystromformer) for checkpoint in tiny_checkpoints.values()}) == 1
