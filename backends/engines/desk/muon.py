"""Gradients of matrices -> orthogonalised updates.

Muon for matrices and for stacks of them (the experts of one layer); everything else belongs to AdamW.
Needs the extra `[train]`.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the quintic
coefficients are theirs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton-Schulz steps, scaled by the shape of the matrix."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        iterations: int = 5,
    ) -> None:
        """Take tensors of shape (rows, columns) or (experts, rows, columns)."""
        super().__init__(
            list(matrices),
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "iterations": iterations},
        )

    @torch.no_grad()
    def step(self) -> None:
        """Update each matrix in place from its gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                velocity = self.state[matrix].setdefault("velocity", torch.zeros_like(matrix))
                velocity.lerp_(matrix.grad, 1 - group["momentum"])
                look_ahead = matrix.grad.lerp(velocity, group["momentum"])
                rows, columns = matrix.shape[-2:]
                scale = max(1.0, rows / columns) ** 0.5
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(orthogonalised(look_ahead, group["iterations"]), alpha=-group["lr"] * scale)


def orthogonalised(matrix: Tensor, iterations: int) -> Tensor:
    """Return the nearest semi-orthogonal matrix, roughly: singular values end near 1, not at 1.

    Args:
        matrix: shape (..., rows, columns).
        iterations: Newton-Schulz steps; 5 suffices in float32.
    """
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x
