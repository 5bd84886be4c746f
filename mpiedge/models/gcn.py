"""The graph convolutional network of Kipf & Welling 2017 with two layers."""

import torch


class GCN(torch.nn.Module):
    """softmax(A relu(A X W1 + b1) W2 + b2), A the symmetric normalised adjacency with self loops.

    The module sees a graph only through `inputs`: `project` multiplies the sparse features, `aggregate` applies A,
    `drop` is dropout. All three may run on one part of the graph; the module cannot tell.
    """

    uses_graph = True

    def __init__(self, columns: int, hidden: int, classes: int):
        super().__init__()
        self.weight_1 = torch.nn.Parameter(torch.zeros(columns, hidden))
        self.bias_1 = torch.nn.Parameter(torch.zeros(hidden))
        self.weight_2 = torch.nn.Parameter(torch.zeros(hidden, classes))
        self.bias_2 = torch.nn.Parameter(torch.zeros(classes))

    def hidden_rows(self, inputs) -> torch.Tensor:
        """Hidden activations of the owned rows, float32 (n, hidden)."""
        return torch.relu(inputs.aggregate_first(inputs.project(self.weight_1)) + self.bias_1)

    def forward(self, inputs) -> torch.Tensor:
        """Class scores (before the softmax) of the owned rows, float32 (n, classes)."""
        return inputs.aggregate(inputs.drop(self.hidden_rows(inputs)) @ self.weight_2) + self.bias_2
