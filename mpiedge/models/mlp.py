"""A perceptron with one hidden layer: the same features without the graph, as the baseline."""

import torch


class MLP(torch.nn.Module):
    """softmax(relu(X W1 + b1) W2 + b2); see GCN for `inputs`."""

    uses_graph = False

    def __init__(self, columns: int, hidden: int, classes: int):
        super().__init__()
        self.weight_1 = torch.nn.Parameter(torch.zeros(columns, hidden))
        self.bias_1 = torch.nn.Parameter(torch.zeros(hidden))
        self.weight_2 = torch.nn.Parameter(torch.zeros(hidden, classes))
        self.bias_2 = torch.nn.Parameter(torch.zeros(classes))

    def hidden_rows(self, inputs) -> torch.Tensor:
        """Hidden activations of the owned rows, float32 (n, hidden)."""
        return torch.relu(inputs.project(self.weight_1) + self.bias_1)

    def forward(self, inputs) -> torch.Tensor:
        """Class scores (before the softmax) of the owned rows, float32 (n, classes)."""
        return inputs.drop(self.hidden_rows(inputs)) @ self.weight_2 + self.bias_2
