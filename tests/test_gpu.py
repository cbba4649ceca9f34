"""On a CUDA device: every head, the analysis, the sweep over lengths and the memory budget agree with the CPU's."""

import pytest
import torch
from heads_by_hand import TEXT

from nystrom_demo.analysis import collect_layers, head_errors, logit_errors
from nystrom_demo.benchmark import time_attention
from nystrom_demo.checkpoints import TASKS, load_bundled
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.serving.memory import memory_budget
from nystrom_demo.serving.settings import Settings

GPU = torch.device("cuda")
ATTENTION = [EXACT, AttentionSettings(num_landmarks=4)]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def boxes(tiny_box):
    """The tiny checkpoints on the CPU, on the GPU in the CPU's precision, and there as they are served."""
    return (
        load_bundled("cpu", box=tiny_box),
        load_bundled(GPU, dtype=torch.float32, box=tiny_box),
        load_bundled(GPU, box=tiny_box),
    )


def inputs_for(checkpoint) -> dict[str, torch.Tensor]:
    texts = [f"{TEXT} " * 3, TEXT]  # a batch with padding
    inputs = dict(checkpoint.tokenizer(texts, padding=True, return_tensors="pt"))
    if checkpoint.task == "multiple-choice":
        inputs = {name: values[None] for name, values in inputs.items()}
    return {name: values.to(checkpoint.device) for name, values in inputs.items()}


def logits_of(checkpoint, settings: AttentionSettings) -> torch.Tensor:
    """At real tokens, on the CPU, in float32."""
    inputs = inputs_for(checkpoint)
    with torch.inference_mode():
        output = checkpoint.model(**inputs, attention_settings=settings)
    if checkpoint.task == "question-answering":
        logits = torch.stack([output.start_logits, output.end_logits], -1)
    else:
        logits = output.logits
    if logits.dim() == 3:  # a row of logits for each token
        logits = logits[inputs["attention_mask"].bool()]
    return logits.float().cpu()


@pytest.mark.parametrize("settings", ATTENTION, ids=["exact", "landmarks"])
@pytest.mark.parametrize("task", TASKS)
def test_a_head_gives_the_cpus_logits(boxes, task, settings):
    on_cpu, on_gpu, served = (logits_of(box[task], settings) for box in boxes)
    torch.testing.assert_close(on_gpu, on_cpu, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(served, on_cpu, atol=0.1, rtol=0.1)


def test_what_is_served_on_a_gpu_is_in_half_precision(boxes):
    assert {parameter.dtype for parameter in boxes[2]["masked-lm"].model.parameters()} == {torch.float16}


def test_the_errors_of_every_head_are_the_cpus(boxes):
    tables = []
    for box in boxes[:2]:
        model = box["sequence-classification"].model
        inputs = dict(box["sequence-classification"].tokenizer(TEXT, return_tensors="pt").to(model.device))
        tables.append(head_errors(collect_layers(model, **inputs), ATTENTION[1]))
        assert logit_errors(model, inputs, ATTENTION[1]).relative > 0
    assert list(tables[0].columns) == list(tables[1].columns)
    for column in tables[0].select_dtypes("number"):
        torch.testing.assert_close(
            torch.tensor(tables[1][column]), torch.tensor(tables[0][column]), atol=1e-3, rtol=1e-2
        )


def test_a_sweep_measures_seconds_and_the_gpus_own_memory():
    found = list(time_attention([256, 1024], num_landmarks=16, heads=2, head_dim=16, device=GPU))
    assert found and all(each.median > 0 for each in found if each.measured)


def test_the_memory_budget_is_a_share_of_what_the_gpu_has_free():
    free, total = torch.cuda.mem_get_info(GPU)
    assert 0 < memory_budget(Settings(), GPU) <= free <= total


def test_training_takes_bfloat16_on_the_gpu(trained):
    from training_runs import run

    options = ("--work", trained / "work", "--data", trained / "data", "--out", "gpu", "--max-steps", 4, "--bf16")
    run(trained, "train", *options, "--no-progress", "--threads", 1)
    assert (trained / "work/gpu/checkpoint-4").is_dir()


def test_figures_measured_on_the_gpu_are_the_cpus(trained):
    from training_runs import run

    from nystrom_demo.training.evaluate import read_rows

    options = ("--data", trained / "data", "--landmarks", "4,exact", "--threads", 1)
    for name, device in (("cpu", ("--cpu",)), ("gpu", ())):
        run(trained, "evaluate", trained / "work/first", *options, "--json", trained / f"{name}.json", *device)
    on_cpu, on_gpu = (read_rows(trained / f"{name}.json") for name in ("cpu", "gpu"))
    assert [(row.data, row.measure) for row in on_gpu] == [(row.data, row.measure) for row in on_cpu]
    assert sum(gpu.values == cpu.values for gpu, cpu in zip(on_gpu, on_cpu, strict=True)) >= len(on_cpu) - 1  # a tie


def test_training_on_the_gpu_plans_no_kernel_for_each_shape():
    from nystrom_demo.training.train import attention_kernels

    with attention_kernels(torch.zeros(1, 8, dtype=torch.long, device=GPU)):
        assert not torch.backends.cuda.cudnn_sdp_enabled()
