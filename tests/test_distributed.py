"""Landmark attention over processes equals one process's: gloo processes, started once for all tests."""

import distributed_cases as cases
import pytest
import torch
import torch.multiprocessing as mp

REFUSALS = {
    "two dimensions": "mesh must have one dimension, over the sequence, got 2: give a submesh.",
    "no token": "Each process needs the same batch and at least one token, got batches [1, 1, 1, 1], "
    "lengths [3, 3, 0, 3].",
    "no real token": "The mask needs at least one real token a row, got none in row 0.",
    "another length": "q must have the stretch's (batch, seq) = (1, 3), got (1, 2).",
    "too long": "The text is 12 tokens long, but the position table of this model ends at 11.",
    "positions": "position_ids cannot be given to a distributed model: they follow from the stretches.",
    "exact": "A distributed model attends by landmarks, and gives no attention maps.",
    "maps": "A distributed model attends by landmarks, and gives no attention maps.",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[cases.Errors]:
    """What each process found, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    mp.get_context("forkserver").set_forkserver_preload(["distributed_cases"])  # imported once, not by each
    mp.start_processes(cases.run, (folder,), nprocs=cases.PROCESSES, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in range(cases.PROCESSES)]


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("dtype", cases.PRECISIONS)
def test_outputs_and_gradients_are_those_of_one_process(found, processes, dtype):
    kinds = [f"{kind}, m = {m}, {dtype}" for kind in cases.MASKS for m in cases.PRECISIONS[dtype]]
    for errors in found[:processes]:
        chosen = {key: value for key, value in errors.items() if key[0] == processes and key[1] in kinds}
        assert len(chosen) == len(kinds) * 6
        assert {key: value for key, value in chosen.items() if value > (1e-5 if dtype == "float32" else 1e-12)} == {}


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_a_distributed_model_gives_one_processs_hidden_states_logits_losses_and_gradients(found, processes):
    for errors in found[:processes]:
        names = ("encoder", "Nystromformer", "choices")
        chosen = {key: value for key, value in errors.items() if key[0] == processes and key[1].startswith(names)}
        assert len(chosen) == 2 * (2 + 3 + 4 + 1 + 1) + 1
        assert {key: value for key, value in chosen.items() if value > 1e-10} == {}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_refused_by_every_process_alike(found, case):
    assert [errors[cases.PROCESSES, "refused", case] for errors in found] == [REFUSALS[case]] * cases.PROCESSES
