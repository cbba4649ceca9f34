"""TransMIL, a classifier of slides in computational pathology, written from its paper's description.

Source: Shao et al., "TransMIL: Transformer based Correlated Multiple Instance Learning for Whole Slide Image
Classification", NeurIPS 2021 (arXiv 2106.00908). A slide is a bag of patches' features. They are made narrower,
repeated until they fill a square, and led by a class token; two layers of landmark attention stand around a position
encoding by convolutions over the square; the class token is the slide's answer.
"""

import math

import torch
from torch import nn


class TransLayer(nn.Module):
    """x plus landmark attention of its layer norm."""

    def __init__(self, attention_class: type[nn.Module], dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = attention_class(
            dim=dim, dim_head=dim // 8, heads=8, num_landmarks=dim // 2, pinv_iterations=6, residual=True, dropout=0.1
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attn(self.norm(x))


class PPEG(nn.Module):
    """Position encoding: the square of patches plus three depthwise convolutions of it; the class token stays."""

    def __init__(self, dim: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim) for size in (7, 5, 3)
        )

    def forward(self, x: torch.Tensor, side: int) -> torch.Tensor:
        square = x[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # (batch, dim, side, side)
        square = square + sum(convolution(square) for convolution in self.convolutions)
        return torch.cat([x[:, :1], square.flatten(2).transpose(1, 2)], dim=1)


class TransMIL(nn.Module):
    """features (batch, patches, in_dim) to logits (batch, num_classes)."""

    def __init__(self, attention_class: type[nn.Module], num_classes: int = 2, in_dim: int = 1024, dim: int = 512):
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(in_dim, dim), nn.ReLU())
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.layer1 = TransLayer(attention_class, dim)
        self.pos_layer = PPEG(dim)
        self.layer2 = TransLayer(attention_class, dim)
        self.norm = nn.LayerNorm(dim)
        self.fc2 = nn.Linear(dim, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = self.fc1(features)
        side = math.ceil(math.sqrt(x.shape[1]))
        x = torch.cat([x, x[:, : side * side - x.shape[1]]], dim=1)  # (batch, side², dim)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.layer2(self.pos_layer(self.layer1(x), side))
        return self.fc2(self.norm(x)[:, 0])
