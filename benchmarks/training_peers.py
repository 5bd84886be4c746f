"""The same network in other programs, one training a process: PyTorch Geometric, plain torch, and torch's DDP.

    python benchmarks/training_peers.py pyg|pyg-sparse|torch-csr|ddp GRAPH.npz HIDDEN EPOCHS SEED

GRAPH.npz holds plain arrays: edges, labels, split, indptr, indices, data, columns, classes. Two layers, half of the
features and hidden values dropped, Adam at .01 with an L2 penalty on the first layer; a step and a validation each
epoch, the best validation is tested. ddp: every rank of mpirun holds the graph and an equal share of the training
nodes, as torch's DistributedDataParallel (gloo) wants it. Prints one line of JSON. These are yardsticks beside mpiedge,
never a part of it.

pyg: as in its example gcn.py (dense features, edge list, normalised anew in each pass). pyg-sparse: its best settings
found on these graphs (the normalised adjacency kept, as CSR; features stay dense, as GCNConv wants them).
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from benchmarks.measure import peak_rss_mb  # noqa: E402

TRAIN, VALIDATION, TEST = 1, 2, 3
DROPOUT, RATE, PENALTY = 0.5, 0.01, 0.07
WARM = 3  # epochs before the clock starts


def main():
    """Train and print figures."""
    name, path, hidden, epochs, seed = sys.argv[1:]
    torch.manual_seed(int(seed))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    print(json.dumps(train(PROGRAMS[name](arrays, int(hidden)), arrays, int(epochs))), flush=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def train(network: torch.nn.Module, arrays: dict, epochs: int) -> dict:
    """Epochs of a step and a validation each; accuracies, seconds and memory."""
    labels, split = torch.from_numpy(arrays["labels"]), arrays["split"]
    rows = {role: torch.from_numpy(np.flatnonzero(split == role)) for role in (TRAIN, VALIDATION, TEST)}
    rank, ranks = int(os.environ.get("OMPI_COMM_WORLD_RANK", "0")), 1
    step = network
    if isinstance(network, Shared):
        ranks = torch.distributed.get_world_size()
        step = torch.nn.parallel.DistributedDataParallel(network)
    own = rows[TRAIN][rank::ranks]
    first = network.first_parameters()
    others = [one for one in network.parameters() if all(one is not other for other in first)]
    optimiser = torch.optim.Adam([{"params": first, "weight_decay": PENALTY / len(rows[TRAIN])},
                                  {"params": others}], lr=RATE)  # fmt: skip
    best, walls, curve, began_cpu_s, began_s = (-1.0, 0.0), [], [], 0.0, time.perf_counter()
    for epoch in range(1, epochs + 1):
        if epoch == WARM + 1:
            began_cpu_s = time.process_time()
        start_s = time.perf_counter()
        network.train()
        optimiser.zero_grad()
        functional.cross_entropy(step()[own], labels[own]).backward()
        optimiser.step()
        network.eval()
        with torch.no_grad():
            right = network().argmax(dim=1) == labels
        validation, test = (float(right[rows[role]].float().mean()) for role in (VALIDATION, TEST))
        best = max(best, (validation, test), key=lambda pair: pair[0])
        walls.append(time.perf_counter() - start_s)
        curve.append((round(time.perf_counter() - began_s, 4), round(validation, 5)))
    return {"test_accuracy": best[1], "val_accuracy": best[0], "epochs": epochs, "ranks": ranks,
            "epoch_cpu_s": (time.process_time() - began_cpu_s) / (epochs - WARM),
            "epoch_wall_s": float(np.median(walls[WARM:])), "peak_rss_mb": peak_rss_mb(), "curve": curve}  # fmt: skip


class TwoLayers(torch.nn.Module):
    """What all have in common: two weights, two biases, Glorot."""

    def __init__(self, columns: int, hidden: int, classes: int):
        super().__init__()
        self.weight_1 = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(columns, hidden)))
        self.weight_2 = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(hidden, classes)))
        self.bias_1, self.bias_2 = torch.nn.Parameter(torch.zeros(hidden)), torch.nn.Parameter(torch.zeros(classes))

    def first_parameters(self):
        """What the penalty is on."""
        return [self.weight_1]


class Plain(TwoLayers):
    """CSR products of torch, with stored transposes and dropout on the stored values only."""

    def __init__(self, arrays: dict, hidden: int):
        super().__init__(int(arrays["columns"]), hidden, int(arrays["classes"]))
        self.near = normalised(arrays)
        nodes = len(arrays["labels"])
        indptr, indices = torch.from_numpy(arrays["indptr"]), torch.from_numpy(arrays["indices"].astype(np.int64))
        self.values = torch.from_numpy(arrays["data"])
        rows = np.repeat(np.arange(nodes), np.diff(arrays["indptr"]))
        self.order = torch.from_numpy(np.argsort(arrays["indices"], kind="stable"))
        counts = np.bincount(arrays["indices"], minlength=int(arrays["columns"]))
        back = (torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])), torch.from_numpy(rows)[self.order])
        self.shape, self.forth, self.back = (nodes, int(arrays["columns"])), (indptr, indices), back

    def forward(self) -> torch.Tensor:
        """Class scores of all nodes."""
        values = functional.dropout(self.values, DROPOUT, self.training)
        features = torch.sparse_csr_tensor(*self.forth, values, self.shape)
        turned = torch.sparse_csr_tensor(*self.back, values[self.order], self.shape[::-1])
        rows = Product.apply(self.near, self.near, Product.apply(features, turned, self.weight_1)) + self.bias_1
        rows = functional.dropout(torch.relu(rows), DROPOUT, self.training)
        return Product.apply(self.near, self.near, rows @ self.weight_2) + self.bias_2


class Shared(Plain):
    """The plain network, its gradients averaged by DistributedDataParallel over gloo."""

    def __init__(self, arrays: dict, hidden: int):
        from mpi4py import MPI  # only to tell everybody where rank 0 listens

        os.environ["MASTER_ADDR"] = MPI.COMM_WORLD.bcast(MPI.Get_processor_name())
        os.environ.setdefault("MASTER_PORT", "29671")
        torch.distributed.init_process_group("gloo", rank=MPI.COMM_WORLD.rank, world_size=MPI.COMM_WORLD.size)
        super().__init__(arrays, hidden)


class Product(torch.autograd.Function):
    """Sparse times dense; backward multiplies with the transpose that was given."""

    @staticmethod
    def forward(ctx, matrix, turned, rows):
        ctx.turned = turned
        return matrix @ rows

    @staticmethod
    def backward(ctx, gradient):
        return None, None, ctx.turned @ gradient


def normalised(arrays: dict) -> torch.Tensor:
    """The symmetric normalised adjacency with self loops, CSR."""
    nodes, edges = len(arrays["labels"]), arrays["edges"]
    loops = np.arange(nodes)
    rows = np.concatenate([edges[:, 0], edges[:, 1], loops])
    columns = np.concatenate([edges[:, 1], edges[:, 0], loops])
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    counts = np.bincount(rows, minlength=nodes)
    scale = 1 / np.sqrt(counts)
    values = torch.from_numpy((scale[rows] * scale[columns]).astype(np.float32))
    indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    return torch.sparse_csr_tensor(indptr, torch.from_numpy(columns), values, (nodes, nodes))


def geometric(arrays: dict, hidden: int, sparse: bool = False) -> torch.nn.Module:
    """PyTorch Geometric's GCN, full batch."""
    from torch_geometric.nn import GCNConv

    nodes, columns, classes = len(arrays["labels"]), int(arrays["columns"]), int(arrays["classes"])
    dense = np.zeros((nodes, columns), np.float32)
    dense[np.repeat(np.arange(nodes), np.diff(arrays["indptr"])), arrays["indices"]] = arrays["data"]
    features = torch.from_numpy(dense)
    both = np.concatenate([arrays["edges"], arrays["edges"][:, ::-1]]).T.astype(np.int64)
    edges = normalised(arrays) if sparse else torch.from_numpy(np.ascontiguousarray(both))

    class Network(torch.nn.Module):
        """gcn.py of PyG's examples."""

        def __init__(self):
            super().__init__()
            self.one = GCNConv(columns, hidden, normalize=not sparse)
            self.two = GCNConv(hidden, classes, normalize=not sparse)

        def first_parameters(self):
            """What the penalty is on."""
            return list(self.one.parameters())

        def forward(self):
            """Class scores of all nodes."""
            rows = self.one(functional.dropout(features, DROPOUT, self.training), edges).relu()
            return self.two(functional.dropout(rows, DROPOUT, self.training), edges)

    return Network()


def geometric_sparse(arrays: dict, hidden: int) -> torch.nn.Module:
    """The same with the normalised adjacency kept."""
    return geometric(arrays, hidden, sparse=True)


PROGRAMS = {"pyg": geometric, "pyg-sparse": geometric_sparse, "torch-csr": Plain, "ddp": Shared}

if __name__ == "__main__":
    main()
