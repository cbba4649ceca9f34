"""What four gloo processes compute for test_distributed.py: each saves how far it is from one process's results.

Meshes of the first two, three and four of them hold the tokens in turn. A result is keyed by (processes, case, what).
"""

from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from nystrom_demo import (
    AttentionSettings,
    NystromformerConfig,
    NystromformerForMaskedLM,
    NystromformerForMultipleChoice,
    NystromformerForQuestionAnswering,
    NystromformerForSequenceClassification,
    NystromformerForTokenClassification,
    NystromformerModel,
    nystrom_attention,
)
from nystrom_demo.distributed import Stretch, attention, average_gradients, distribute, distributed_nystrom_attention

PROCESSES = 4
LENGTHS = (5, 11, 2, 7)  # the third is shorter than half a filter, so that its neighbours reach beyond it
PRECISIONS = {"float64": (3, 13, 40), "float32": (13,)}  # landmarks: few; more than a stretch; more than tokens
MASKS = ("none", "right padding", "scattered", "few tokens", "a stretch of padding")
HEADS = (
    (NystromformerForSequenceClassification, {"labels": torch.tensor([1, 0])}),
    (
        NystromformerForQuestionAnswering,
        {"start_positions": torch.tensor([3, 1]), "end_positions": torch.tensor([5, 4])},
    ),
    (NystromformerForTokenClassification, {}),
    (NystromformerForMaskedLM, {}),
)

Errors = dict[tuple[int, str, str], float | str]


def run(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    attention.BLOCK_SCORES = 2 * 3 * 3 * 4  # some tokens a block
    found: Errors = {}
    for processes in (2, 3, 4):
        mesh = DeviceMesh("cpu", list(range(processes)))  # every process takes part in making it
        if rank < processes:
            attention_cases(mesh, found)
            model_cases(mesh, found)
    refusals(rank, found)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def own(mesh: DeviceMesh) -> slice:
    """This process's tokens."""
    start = sum(LENGTHS[: mesh.get_local_rank()])
    return slice(start, start + LENGTHS[mesh.get_local_rank()])


def make_mask(kind: str, n: int) -> torch.Tensor:
    mask = torch.ones(2, n, dtype=torch.bool)
    if kind == "right padding":
        mask[0, n - 4 :] = False
    if kind == "scattered":
        mask = torch.rand(2, n, generator=torch.Generator().manual_seed(0)) < 0.6
        mask[:, 1] = True
    if kind == "few tokens":
        mask[1] = False
        mask[1, 4:6] = True
    if kind == "a stretch of padding":
        mask[:, LENGTHS[0] : LENGTHS[0] + LENGTHS[1]] = False
    return mask


def attention_cases(mesh: DeviceMesh, found: Errors) -> None:
    for name, landmarks in PRECISIONS.items():
        for m in landmarks:
            for kind in MASKS:
                for what, value in attention_errors(mesh, m, kind, getattr(torch, name)).items():
                    found[mesh.size(), f"{kind}, m = {m}, {name}", what] = value


def attention_errors(mesh: DeviceMesh, m: int, kind: str, dtype: torch.dtype) -> dict[str, float]:
    n, tokens = sum(LENGTHS[: mesh.size()]), own(mesh)
    generator = torch.Generator().manual_seed(m)
    qkv = [torch.randn(2, 3, n, 5, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3)]
    weight = torch.randn(3, 1, 9, 1, generator=generator, dtype=torch.float64).to(dtype)
    mask = make_mask(kind, n)
    direction = torch.randn(2, 3, n, 5, generator=generator, dtype=torch.float64).to(dtype) * mask[:, None, :, None]
    options = {"inv_coeff_init_option": m == 3, "pinv_iterations": 7}

    whole = [x.requires_grad_() for x in (*qkv, weight)]
    output = nystrom_attention(*qkv, m, mask, conv_weight=weight, **options)
    gradients = torch.autograd.grad((output * direction).sum(), whole)

    stretch = Stretch.gather(mesh, mask[:, tokens])
    part = [x.detach()[:, :, tokens].requires_grad_() for x in qkv]
    part.append(weight.detach().clone().requires_grad_())
    part_output = distributed_nystrom_attention(*part[:3], m, stretch, conv_weight=part[3], **options)
    part_gradients = torch.autograd.grad((part_output * direction[:, :, tokens]).sum(), part)
    with torch.no_grad():
        unrecorded = distributed_nystrom_attention(*part[:3], m, stretch, conv_weight=part[3], **options)
    of_weight = part_gradients[3].clone()
    dist.all_reduce(of_weight, group=mesh.get_group())

    real = mask[:, None, tokens, None]
    pairs = {
        f"gradient of {name}": (a, b[:, :, tokens])
        for name, a, b in zip("qkv", part_gradients, gradients, strict=False)
    }
    pairs |= {
        "output": (part_output * real, output[:, :, tokens] * real),
        "output without gradients": (unrecorded * real, output[:, :, tokens] * real),
        "gradient of the filters": (of_weight, gradients[3]),
    }
    return {what: error(*pair) for what, pair in pairs.items()}


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest wanted entry or to one where that is less."""
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max().clamp(min=1))


def make_model(model_class: type, **changed):
    torch.manual_seed(0)
    config = NystromformerConfig(
        vocab_size=50,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        num_landmarks=4,
        conv_kernel_size=7,
        initializer_range=0.5,  # so that attention is not uniform
        **{"max_position_embeddings": 60} | changed,
    )
    return model_class(config).double().eval()


def model_cases(mesh: DeviceMesh, found: Errors) -> None:
    n = sum(LENGTHS[: mesh.size()])
    ids = torch.randint(50, (2, n), generator=torch.Generator().manual_seed(1))
    left = torch.arange(n) >= torch.tensor([[0], [7]])  # padding on the left, on the first process and part of the next
    for kind, mask in (("no padding", None), ("left padding", left)):
        for what, value in encoder_errors(mesh, ids, mask).items():
            found[mesh.size(), f"encoder, {kind}", what] = value
        for head, labels in HEADS:
            for what, value in head_errors(mesh, head, ids, mask, labels).items():
                found[mesh.size(), f"{head.__name__}, {kind}", what] = value
    found[mesh.size(), "choices", "logits"] = choices_error(mesh, ids)


def stretch_of(mesh: DeviceMesh, ids: torch.Tensor, mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    tokens = own(mesh)
    return {"input_ids": ids[:, tokens]} | ({} if mask is None else {"attention_mask": mask[:, tokens].long()})


def encoder_errors(mesh: DeviceMesh, ids: torch.Tensor, mask: torch.Tensor | None) -> dict[str, float]:
    one, many, tokens = make_model(NystromformerModel), make_model(NystromformerModel), own(mesh)
    distribute(many, mesh)
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    wanted = one(ids, mask).last_hidden_state * real[..., None]
    found = many(**stretch_of(mesh, ids, mask)).last_hidden_state * real[:, tokens, None]
    direction = torch.sin(torch.arange(wanted.numel()).double()).view_as(wanted)
    (wanted * direction).sum().backward()
    (found * direction[:, tokens] * mesh.size()).sum().backward()  # the mean of these is the sum of one process's
    average_gradients(many, mesh)
    return {"hidden states": error(found, wanted[:, tokens]), "gradients": gradients_error(many, one)}


def head_errors(mesh, head: type, ids, mask, labels: dict[str, torch.Tensor]) -> dict[str, float]:
    """Of the logits, and of the loss and its gradients where the loss is one of the whole text."""
    one, many, tokens = make_model(head), make_model(head), own(mesh)
    distribute(many, mesh)
    wanted = one(ids, mask, **labels)
    found = many(**stretch_of(mesh, ids, mask), **labels)
    if not labels:
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        return {"logits": error(found.logits * real[:, tokens, None], (wanted.logits * real[..., None])[:, tokens])}
    real = True if mask is None or head is NystromformerForSequenceClassification else mask
    names = [name for name in wanted if "logits" in name]
    errors = {name: error(found[name] * real, wanted[name] * real) for name in names}
    wanted.loss.backward()
    found.loss.backward()
    average_gradients(many, mesh)
    return errors | {"loss": error(found.loss, wanted.loss), "gradients": gradients_error(many, one)}


def choices_error(mesh: DeviceMesh, ids: torch.Tensor) -> float:
    one, many = make_model(NystromformerForMultipleChoice), make_model(NystromformerForMultipleChoice)
    distribute(many, mesh)
    return error(many(ids[None, :, own(mesh)]).logits, one(ids[None]).logits)


def gradients_error(many, one) -> float:
    pairs = zip(many.parameters(), one.parameters(), strict=True)
    return max(error(a.grad, b.grad) for a, b in pairs if b.grad is not None)


def refusals(rank: int, found: Errors) -> None:
    """What every process says, of a call that cannot be."""
    mesh = DeviceMesh("cpu", list(range(PROCESSES)))
    real = torch.ones(1, 3, dtype=torch.bool)
    ids = torch.ones(1, 3, dtype=torch.long)
    short = distribute(make_model(NystromformerModel, max_position_embeddings=11), mesh)
    model = distribute(make_model(NystromformerModel), mesh)
    q = torch.zeros(1, 1, 3, 2)
    stretch = Stretch.gather(mesh, real)
    calls = {
        "two dimensions": lambda: Stretch.gather(init_device_mesh("cpu", (2, 2)), real),
        "no token": lambda: Stretch.gather(mesh, real[:, : 3 * (rank != 2)]),
        "no real token": lambda: Stretch.gather(mesh, ~real),
        "another length": lambda: distributed_nystrom_attention(q[:, :, :2], q[:, :, :2], q[:, :, :2], 2, stretch),
        "too long": lambda: short(ids),
        "positions": lambda: model(ids, position_ids=ids),
        "exact": lambda: model(ids, attention_settings=AttentionSettings("sdpa")),
        "maps": lambda: model(ids, output_attentions=True),
    }
    for case, call in calls.items():
        try:
            call()
            found[PROCESSES, "refused", case] = "nothing"
        except ValueError as refused:
            found[PROCESSES, "refused", case] = str(refused)
