"""The trained network as an ONNX model, for programs that know nothing of mpiedge. Needs the package onnx.

Inputs: features, float (nodes, columns), for models of propagated features the propagated ones; where the model sees
the graph also its normalised adjacency as entries: rows and neighbours, int64 (entries,), and weights, float
(entries,). Output: probabilities, float (nodes, classes). Sums over neighbours are a ScatterND that adds.
"""

import importlib.util

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.graph.build import Adjacency
from mpiedge.training.predict_graph import normalised

OPSET, IR_VERSION = 18, 9  # the first that knows such a ScatterND well, and what runtimes of 2023 read


def check() -> None:
    """Local, alike where the same is installed: UsageError without the package onnx."""
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("--onnx", "the package onnx is not installed", "Install it (pip install 'mpiedge[onnx]')")


def image(weights: dict[str, np.ndarray], layers: int, norm: str | None, classes: list[str]) -> bytes:
    """Local: the bytes of the model. weights: weight_1, bias_1, ... (see models/layered.py)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    constants, nodes = dict(weights), []
    columns, scores = weights["weight_1"].shape[0], weights[f"bias_{layers}"].shape[0]

    def add(operation: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    if norm:
        constants["last"] = np.array([1], np.int64)
        add("Unsqueeze", ["weights", "last"], "factors")
        add("Unsqueeze", ["rows", "last"], "places")
    rows = "features"
    for layer in range(1, layers + 1):
        width = len(weights[f"bias_{layer}"])
        rows = add("MatMul", [rows, f"weight_{layer}"], f"projected_{layer}")
        own = None
        if weights[f"weight_{layer}"].shape[1] > width:  # the node's own row has its own weights
            constants[f"sides_{layer}"] = np.array([width, width], np.int64)
            nodes.append(helper.make_node("Split", [rows, f"sides_{layer}"], [f"own_{layer}", f"near_{layer}"], axis=1))
            own, rows = f"own_{layer}", f"near_{layer}"
        if norm:
            handed = add("Gather", [rows, "neighbours"], f"handed_{layer}")
            handed = add("Mul", [handed, "factors"], f"weighted_{layer}")
            nothing = add("Sub", [rows, rows], f"nothing_{layer}")
            rows = add("ScatterND", [nothing, "places", handed], f"summed_{layer}", reduction="add")
        if own:
            rows = add("Add", [rows, own], f"joined_{layer}")
        rows = add("Add", [rows, f"bias_{layer}"], f"outcome_{layer}")
        if layer < layers:
            rows = add("Relu", [rows], f"hidden_{layer}")
    add("Softmax", [rows], "probabilities", axis=1)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["nodes", columns])]
    if norm:
        kinds = {"rows": TensorProto.INT64, "neighbours": TensorProto.INT64, "weights": TensorProto.FLOAT}
        inputs += [helper.make_tensor_value_info(name, kind, ["entries"]) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["nodes", scores])
    graph = helper.make_graph(nodes, "mpiedge", inputs, [output],
                              [numpy_helper.from_array(array, name) for name, array in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                              producer_name="mpiedge")
    helper.set_model_props(model, {"classes": "\n".join(classes), "adjacency": norm or "none"})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def entries(neighbours: Adjacency, norm: str) -> dict[str, np.ndarray]:
    """Local: rows, neighbours and weights of a graph, as the model takes them."""
    near = normalised(neighbours, norm)
    ones = np.ones(len(near.indices), np.float32)
    return {"rows": near.row_of_entry(), "neighbours": near.indices.astype(np.int64),
            "weights": ones if near.data is None else near.data}
