"""What `nystrom_attention` 0.0.14 computes on small inputs, kept so that tests hold where it is not installed.

`python tests/nystrom_attention_golden.py` makes nystrom_attention_golden.json anew, with that package installed.
Weights and inputs are sines, so that only the results are kept: the output, the gradient of its inner product with
cosines for x and for each parameter, and the sum of each column of the map, in float64 to ten digits.
"""

import json
from pathlib import Path

import torch
from torch import nn

PATH = Path(__file__).with_name("nystrom_attention_golden.json")
ARGUMENTS = {"dim": 4, "dim_head": 2, "heads": 2, "num_landmarks": 3, "residual_conv_kernel": 3}
LENGTHS = (2, 3, 7)  # fewer tokens than landmarks, a multiple of them, neither
MASKS = ("none", "all real", "some real")


def build(attention_class: type[nn.Module]) -> nn.Module:
    module = attention_class(**ARGUMENTS).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.sin(torch.arange(1.0, parameter.numel() + 1).double() * 1.7).view_as(parameter))
    return module


def inputs(seq: int, mask: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """x (2, seq, 4) and its mask; in "some real" the first text lacks its last token, the second all but its first."""
    x = torch.sin(torch.arange(2.0 * seq * 4).double() * 2.3).view(2, seq, 4)
    if mask == "none":
        return x, None
    real = torch.ones(2, seq, dtype=torch.bool)
    if mask == "some real":
        real[0, -1] = False
        real[1, 1:] = False
    return x, real


def results(module: nn.Module, seq: int, mask: str) -> dict[str, torch.Tensor]:
    x, real = inputs(seq, mask)
    x.requires_grad_()
    output = module(x, mask=real)
    product = (output * torch.cos(torch.arange(output.numel())).view_as(output)).sum()
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(product, [x, *parameters])
    with torch.no_grad():
        _, attention = module(x, mask=real, return_attn=True)
    return {"output": output.detach(), "columns": attention.sum(2)} | dict(zip(("x", *names), gradients, strict=True))


def main() -> None:
    from nystrom_attention import NystromAttention

    module = build(NystromAttention)
    golden = {
        f"{seq} tokens, mask: {mask}": {
            name: [round(value, 10) for value in tensor.flatten().tolist()]
            for name, tensor in results(module, seq, mask).items()
        }
        for seq in LENGTHS
        for mask in MASKS
    }
    PATH.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()
