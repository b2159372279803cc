#!/usr/bin/env python3
"""Makes the TFLite, GGUF, safetensors, MLmodel and NumPy files of tests/vectors/registry and the fuzzers' corpora.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install numpy tflite flatbuffers gguf safetensors joblib
    /tmp/v/bin/python tests/vectors/registry/make_models.py

Each file is small and made by its format's own library, unless its name ends in _bad: those are good ones changed by
hand. Expected facts: tests/unit/registry/test_inspect.c. Pickles: make_pickles.py.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import struct

import flatbuffers
import gguf
import numpy as np
import tflite
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "..", "..", "fuzz", "corpus")


def put(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as file:
        file.write(data)


# ---- TFLite: y = relu(x W + b), by the schema's own builders

def vector(b, values, start, prepend):
    start(b, len(values))
    for value in reversed(values):
        prepend(value)
    return b.EndVector()


def numpy_vector(b, array):
    return b.CreateNumpyVector(np.frombuffer(array.tobytes(), dtype=np.uint8))


def tensor(b, name, shape, kind, buffer, quantization=None, signature=None):
    text = b.CreateString(name)
    dims = b.CreateNumpyVector(np.array(shape, dtype=np.int32))
    sign = b.CreateNumpyVector(np.array(signature, dtype=np.int32)) if signature else None
    quant = None
    if quantization:
        scale = b.CreateNumpyVector(np.array([quantization[0]], dtype=np.float32))
        zero = b.CreateNumpyVector(np.array([quantization[1]], dtype=np.int64))
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        tflite.QuantizationParametersAddZeroPoint(b, zero)
        quant = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, dims)
    tflite.TensorAddType(b, kind)
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, text)
    if quant is not None:
        tflite.TensorAddQuantization(b, quant)
    if sign is not None:
        tflite.TensorAddShapeSignature(b, sign)
    return tflite.TensorEnd(b)


def offsets(b, items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def operator(b, code, inputs, outputs):
    ins = b.CreateNumpyVector(np.array(inputs, dtype=np.int32))
    outs = b.CreateNumpyVector(np.array(outputs, dtype=np.int32))
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, ins)
    tflite.OperatorAddOutputs(b, outs)
    return tflite.OperatorEnd(b)


def opcode(b, builtin, version=1, custom=None):
    text = b.CreateString(custom) if custom else None
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(builtin, 127))
    tflite.OperatorCodeAddBuiltinCode(b, builtin)
    tflite.OperatorCodeAddVersion(b, version)
    if text is not None:
        tflite.OperatorCodeAddCustomCode(b, text)
    return tflite.OperatorCodeEnd(b)


def buffer(b, data):
    bytes_ = numpy_vector(b, data) if data is not None else None
    tflite.BufferStart(b)
    if bytes_ is not None:
        tflite.BufferAddData(b, bytes_)
    return tflite.BufferEnd(b)


def signature(b, key, inputs, outputs):
    def maps(ports):
        made = []
        for name, index in ports:
            text = b.CreateString(name)
            tflite.TensorMapStart(b)
            tflite.TensorMapAddName(b, text)
            tflite.TensorMapAddTensorIndex(b, index)
            made.append(tflite.TensorMapEnd(b))
        return offsets(b, made)
    ins, outs, text = maps(inputs), maps(outputs), b.CreateString(key)
    tflite.SignatureDefStart(b)
    tflite.SignatureDefAddInputs(b, ins)
    tflite.SignatureDefAddOutputs(b, outs)
    tflite.SignatureDefAddSignatureKey(b, text)
    return tflite.SignatureDefEnd(b)


def metadata(b, name, index):
    text = b.CreateString(name)
    tflite.MetadataStart(b)
    tflite.MetadataAddName(b, text)
    tflite.MetadataAddBuffer(b, index)
    return tflite.MetadataEnd(b)


def model_metadata():
    """M001 ModelMetadata: name 0, description 1, version 2, author 4, license 5."""
    b = flatbuffers.Builder(256)
    texts = {0: b.CreateString("dense"), 1: b.CreateString("one dense layer"), 2: b.CreateString("v1"),
             4: b.CreateString("tidemark tests"), 5: b.CreateString("Apache-2.0")}
    b.StartObject(8)
    for field, text in texts.items():
        b.PrependUOffsetTRelativeSlot(field, text, 0)
    b.Finish(b.EndObject(), file_identifier=b"M001")
    return np.frombuffer(bytes(b.Output()), dtype=np.uint8)


def dense(kind, io_type, quantization=None, custom=None, weight=None):
    rng = np.random.RandomState(7)
    weight = weight if weight is not None else rng.randn(3, 4)
    w = (weight * 20).astype(np.int8) if kind == tflite.TensorType.INT8 else weight.astype(np.float32)
    bias = np.zeros(3, dtype=np.int32 if io_type == tflite.TensorType.INT8 else np.float32)
    b = flatbuffers.Builder(2048)
    buffers = offsets(b, [buffer(b, data) for data in (None, w, bias, model_metadata(),
                                                      np.frombuffer(b"1.14.0\0\0", dtype=np.uint8))])
    bias_type = tflite.TensorType.INT32 if io_type == tflite.TensorType.INT8 else tflite.TensorType.FLOAT32
    io = quantization if io_type == tflite.TensorType.INT8 else None
    tensors = offsets(b, [tensor(b, "x", [1, 4], io_type, 0, io, [-1, 4]),
                          tensor(b, "w", [3, 4], kind, 1, quantization if kind == tflite.TensorType.INT8 else None),
                          tensor(b, "b", [3], bias_type, 2, (0.01, 0) if io else None),
                          tensor(b, "h", [1, 3], io_type, 0, io),
                          tensor(b, "y", [1, 3], io_type, 0, io, [-1, 3])])
    second = tflite.BuiltinOperator.CUSTOM if custom else tflite.BuiltinOperator.RELU
    codes = offsets(b, [opcode(b, tflite.BuiltinOperator.FULLY_CONNECTED, 4), opcode(b, second, 1, custom)])
    operators = offsets(b, [operator(b, 0, [0, 1, 2], [3]), operator(b, 1, [3], [4])])
    ins = b.CreateNumpyVector(np.array([0], dtype=np.int32))
    outs = b.CreateNumpyVector(np.array([4], dtype=np.int32))
    name = b.CreateString("main")
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors)
    tflite.SubGraphAddInputs(b, ins)
    tflite.SubGraphAddOutputs(b, outs)
    tflite.SubGraphAddOperators(b, operators)
    tflite.SubGraphAddName(b, name)
    graphs = offsets(b, [tflite.SubGraphEnd(b)])
    signatures = offsets(b, [signature(b, "serving_default", [("x", 0)], [("y", 4)])])
    entries = offsets(b, [metadata(b, "TFLITE_METADATA", 3), metadata(b, "min_runtime_version", 4)])
    description = b.CreateString("made by tests/vectors/registry/make_models.py")
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, codes)
    tflite.ModelAddSubgraphs(b, graphs)
    tflite.ModelAddDescription(b, description)
    tflite.ModelAddBuffers(b, buffers)
    tflite.ModelAddMetadata(b, entries)
    tflite.ModelAddSignatureDefs(b, signatures)
    b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output())


def make_tflite():
    types = tflite.TensorType
    plain = dense(types.FLOAT32, types.FLOAT32)
    put("tflite", "dense.tflite", plain)
    put("tflite", "dense_int8.tflite", dense(types.INT8, types.INT8, (0.05, 0)))
    put("tflite", "dense_weights_int8.tflite", dense(types.INT8, types.FLOAT32, (0.05, 0)))
    put("tflite", "custom.tflite", dense(types.FLOAT32, types.FLOAT32, custom="Sharpen"))
    put("tflite", "flex_file_access.tflite", dense(types.FLOAT32, types.FLOAT32, custom="FlexReadFile"))
    put("tflite", "lying_shape_bad.tflite", plain.replace(struct.pack("<iii", 2, 3, 4), struct.pack("<iii", 2, 3, 400), 1))
    put("tflite", "cut_bad.tflite", plain[:len(plain) // 2])


# ---- GGUF

def write_gguf(path, order=gguf.GGUFEndian.LITTLE):
    w = gguf.GGUFWriter(path, "llama", endianess=order)
    w.add_name("tiny")
    w.add_license("apache-2.0")
    w.add_context_length(2048)
    w.add_embedding_length(32)
    w.add_block_count(1)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantized_by("tidemark tests")
    w.add_base_model_count(1)
    w.add_base_model_name(0, "Tiny Base")
    w.add_base_model_organization(0, "Example")
    w.add_base_model_repo_url(0, "https://example.org/tiny-base")
    w.add_token_list(["<s>", "a", "b"])
    w.add_chat_template("{{ messages[0].content }}")
    w.add_float32("llama.rope.freq_base", 10000.0)
    w.add_tensor("token_embd.weight", np.zeros((3, 32), dtype=np.float32))
    w.add_tensor("output.weight", np.zeros((2, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_gguf():
    folder = os.path.join(HERE, "gguf")
    os.makedirs(folder, exist_ok=True)
    write_gguf(os.path.join(folder, "tiny.gguf"))
    write_gguf(os.path.join(folder, "big_endian.gguf"), gguf.GGUFEndian.BIG)
    with open(os.path.join(folder, "tiny.gguf"), "rb") as file:
        good = file.read()
    # ggml#1516: a small file whose counts make a reader allocate gigabytes
    put("gguf", "huge_counts_bad.gguf", good[:8] + struct.pack("<QQ", 1 << 40, 1 << 40) + good[24:200])
    put("gguf", "template_code.gguf", good.replace(b"{{ messages[0].content }}", b"{{ x.__class__.__mro__ }}"))
    put("gguf", "version2.gguf", good[:4] + struct.pack("<I", 2) + good[8:])
    put("gguf", "version1_bad.gguf", good[:4] + struct.pack("<I", 1) + good[8:])
    at = good.index(b"token_embd.weight") + 17  # n_dims, dims, type, offset
    wrap = struct.pack("<QQ", 1 << 62, 8)       # llama.cpp#18674: a product that wraps to 0
    put("gguf", "wrapping_shape_bad.gguf", good[:at + 4] + wrap + good[at + 20:])
    put("gguf", "five_dims_bad.gguf", good[:at] + struct.pack("<I", 5) + good[at + 4:])  # gguf-tools#25
    put("gguf", "overlap_bad.gguf", good.replace(b"output.weight" + struct.pack("<I", 2) + struct.pack("<QQI", 32, 2, 8) +
                                                 struct.pack("<Q", 384),
                                                 b"output.weight" + struct.pack("<I", 2) + struct.pack("<QQI", 32, 2, 8) +
                                                 struct.pack("<Q", 0)))
    put("gguf", "cut_bad.gguf", good[:-64])


# ---- safetensors

def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    os.makedirs(os.path.join(HERE, "safetensors"), exist_ok=True)
    save_file({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.float16),
               "scalar": np.array(3.0)}, os.path.join(HERE, "safetensors", "small.safetensors"),
              metadata={"format": "np", "license": "apache-2.0"})
    one = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    bad = {"hole": with_header({"a": one, "b": {**one, "data_offsets": [5, 9]}}, b"x" * 9),
           "overlap": with_header({"a": one, "b": {**one, "data_offsets": [2, 6]}}, b"x" * 6),
           "trailing": with_header({"a": one}, b"x" * 5),
           "short": with_header({"a": one}, b"x" * 3),
           "wrong_size": with_header({"a": {**one, "shape": [5]}}, b"x" * 4),
           "wrapping_shape": with_header({"a": {**one, "shape": [1 << 33, 1 << 33]}}, b"x" * 4),
           "twice": with_header(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                                b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b""),
           "escaped": with_header(b'{"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b""),
           "huge_header": struct.pack("<Q", 99_999_999) + b'{"a":',
           "unknown_type": with_header({"a": {**one, "dtype": "Q4"}}, b"x" * 4)}
    for name, data in bad.items():
        put("safetensors", name + "_bad.safetensors", data)


# ---- MLflow: as mlflow 3 writes it

MLMODEL = """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.2
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.2
mlflow_version: 3.6.0
model_id: m-1f0e2d3c4b5a69788796a5b4c3d2e1f0
model_size_bytes: 1234
model_uuid: 9c0f0e34a3c14f2a8f5d6c7b8a990011
run_id: 4bf92f3577b34da6a3ce929d0e0e4736
signature:
  inputs: '[{"type": "double", "name": "speed", "required": true}, {"type": "long", "name": "load", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: '[{"name": "threshold", "type": "double", "default": 0.5, "shape": null}]'
utc_time_created: '2026-01-02 03:04:05.678901'
"""


def make_mlmodel():
    put("mlmodel", "MLmodel", MLMODEL.encode())
    put("mlmodel", "no_flavors_bad", b"run_id: x\n")
    put("mlmodel", "aliases_bad", b"flavors: &a {b: 1}\nc: *a\n")


def seed(corpus, folder):
    target = os.path.join(CORPUS, corpus)
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(os.path.join(HERE, folder))):
        shutil.copy(os.path.join(HERE, folder, name), os.path.join(target, name))


if __name__ == "__main__":
    make_tflite()
    make_gguf()
    make_safetensors()
    make_mlmodel()
    for each in ("tflite", "gguf", "safetensors", "mlmodel"):
        seed(each, each)
