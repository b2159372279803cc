#!/usr/bin/env python3
"""Makes the ONNX files of tests/vectors/registry/onnx (and seeds of tests/fuzz/corpus/onnx) with the PyPI package `onnx`.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install onnx && /tmp/v/bin/python tests/vectors/registry/make_onnx.py

Each file is small and passes onnx.checker unless its name says otherwise. Expected facts: tests/unit/registry/test_onnx.c.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "onnx")
CORPUS = os.path.join(HERE, "..", "..", "fuzz", "corpus", "onnx")


def save(name, model, check=True):
    model.producer_name = "tidemark-tests"
    model.producer_version = "1"
    if check:
        onnx.checker.check_model(model)
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def mlp():
    rng = np.random.RandomState(7)
    weights = [numpy_helper.from_array(rng.randn(4, 3).astype(np.float32), "w1"),
               numpy_helper.from_array(rng.randn(3).astype(np.float32), "b1")]
    nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Softmax", ["r"], ["probability"])]
    graph = helper.make_graph(nodes, "mlp", [value("x", TensorProto.FLOAT, ["batch", 4])],
                              [value("probability", TensorProto.FLOAT, ["batch", 3])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"purpose": "tests", "classes": "a,b,c"})
    model.model_version = 5
    return model


def old_inputs():
    """As writers before IR 4 did: initializers are listed among the inputs."""
    model = mlp()
    model.ir_version = 3
    model.graph.input.extend([value("w1", TensorProto.FLOAT, [4, 3]), value("b1", TensorProto.FLOAT, [3])])
    return model


def branches():
    """A graph inside a graph, and a custom operator inside it."""
    then = helper.make_graph([helper.make_node("Sharpen", ["x"], ["y1"], domain="org.example")], "then", [],
                             [value("y1", TensorProto.FLOAT, [2])])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["y2"])], "else", [], [value("y2", TensorProto.FLOAT, [2])])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    graph = helper.make_graph([node], "branches", [value("c", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, [2])],
                              [value("y", TensorProto.FLOAT, [2])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)],
                             ir_version=8)


def function():
    """A function that the file defines itself is no custom operator."""
    body = helper.make_function("local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                [helper.make_opsetid("", 17)])
    graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y"], domain="local")], "function",
                              [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    return helper.make_model(graph, functions=[body],
                             opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("local", 1)], ir_version=8)


def quantized():
    scale = numpy_helper.from_array(np.array(0.1, dtype=np.float32), "s")
    zero = numpy_helper.from_array(np.array(3, dtype=np.uint8), "z")
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    graph = helper.make_graph(nodes, "quantized", [value("x", TensorProto.FLOAT, [1, 8])],
                              [value("y", TensorProto.FLOAT, [1, 8])], [scale, zero])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(location):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1000], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="4000")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "external", [value("x", TensorProto.FLOAT, [1000])],
                              [value("y", TensorProto.FLOAT, [1000])], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def lying():
    """Claims a million elements and holds four bytes."""
    model = mlp()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1000, 1000])
    return model


def deep():
    """Graphs twenty deep."""
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [value("y", TensorProto.FLOAT, [1])])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("Loop", ["n"], ["y"], body=graph)], "g", [], [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


os.makedirs(OUT, exist_ok=True)
os.makedirs(CORPUS, exist_ok=True)
save("mlp.onnx", mlp())
save("old_inputs.onnx", old_inputs())
save("branches.onnx", branches(), check=False)  # the checker does not know org.example
save("function.onnx", function())
save("quantized.onnx", quantized())
save("external.onnx", external("weights.bin"), check=False)
save("external_traversal_bad.onnx", external("../../etc/passwd"), check=False)
save("lying_dims_bad.onnx", lying(), check=False)
save("too_deep_bad.onnx", deep(), check=False)
for name in os.listdir(OUT):
    shutil.copy(os.path.join(OUT, name), os.path.join(CORPUS, name))
