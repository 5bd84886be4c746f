"""Adam on one flat buffer, so that a gradient crosses MPI in one piece and a checkpoint is three arrays."""

import math

import torch

SCHEDULES = {"constant": lambda done: 1.0, "linear": lambda done: 1 - done,
             "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2}  # fmt: skip
"""What the learning rate is multiplied with when that share of the epochs is done."""


def flatten(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Local: one buffer for all weights and one for all gradients; the model's parameters become views of them."""
    parameters = list(model.parameters())
    weights = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    gradient = torch.zeros_like(weights)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = weights[start:stop].view_as(parameter)
        parameter.grad = gradient[start:stop].view_as(parameter)
        start = stop
    return weights, gradient


class Adam:
    """Adam (Kingma & Ba 2015) with the L2 penalty weight_decay / 2 |w|^2 on the first `decayed` weights.

    Written out here because torch.optim brings in the compiler of torch: 1 s and 80 MB more on every rank.
    """

    def __init__(self, weights: torch.Tensor, learning_rate: float, weight_decay: float, decayed: int):
        self.weights, self.learning_rate = weights, learning_rate
        self.weight_decay, self.decayed = weight_decay, decayed
        self.first_moment, self.second_moment = torch.zeros_like(weights), torch.zeros_like(weights)
        self.steps = 0

    def step(self, gradient: torch.Tensor, share: float = 1.0) -> None:
        """Local: one step against `gradient`, which is changed in place; share: of the learning rate."""
        first_rate, second_rate, epsilon = 0.9, 0.999, 1e-8
        self.steps += 1
        gradient[: self.decayed].add_(self.weights[: self.decayed], alpha=self.weight_decay)
        self.first_moment.mul_(first_rate).add_(gradient, alpha=1 - first_rate)
        self.second_moment.mul_(second_rate).addcmul_(gradient, gradient, value=1 - second_rate)
        first_bias, second_bias = 1 - first_rate**self.steps, 1 - second_rate**self.steps
        spread = self.second_moment.sqrt().div_(second_bias**0.5).add_(epsilon)
        self.weights.addcdiv_(self.first_moment, spread, value=-share * self.learning_rate / first_bias)
