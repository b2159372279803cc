#!/usr/bin/env python3
"""Makes the pickle-bearing files of tests/vectors/registry/pickle: honest ones, and the published ways round scanners.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install numpy joblib && /tmp/v/bin/python tests/vectors/registry/make_pickles.py

Nothing here is ever loaded; the attacks would run `id` or less. A file's verdict is the first part of its name, which
tests/unit/registry/test_pickle.c holds against ours.
SPDX-License-Identifier: Apache-2.0
"""
import bz2
import collections
import gzip
import io
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib

import joblib
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "pickle")
CORPUS = os.path.join(HERE, "..", "..", "fuzz", "corpus", "pickle")

RUN = b"cos\nsystem\n(S'id'\ntR."  # the classic, protocol 0


def put(name, data):
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def stack_global(module, name):
    return short(module) + short(name) + b"\x93"


def zipped(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


class Fake:
    """An object that pickles as a call of any module's name."""

    def __init__(self, module, name):
        self.module, self.name = module, name


def torch_data():
    """What torch.save writes for {"weight": tensor}: persistent ids for storages, _rebuild_tensor_v2."""
    persistent = (b"(" + b"X\x07\0\0\0storage" + b"ctorch\nFloatStorage\n" + b"X\x01\0\0\x000" + b"X\x03\0\0\0cpu" +
                  b"K\x04" + b"tQ")
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + b"K\0" + b"K\x02K\x02\x86" + b"K\x02K\x01\x86" +
              b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR")
    return b"\x80\x02}X\x06\0\0\0weight" + tensor + b"s."


def honest():
    put("innocuous_plain.pkl", pickle.dumps({"a": [1, 2.5, "x"], "b": (True, None)}, 4))
    put("innocuous_protocol0.pkl", pickle.dumps({"a": [1, 2, "x"]}, 0))
    put("innocuous_ordered.pkl", pickle.dumps(collections.OrderedDict(a=1), 5))
    put("innocuous_numpy.pkl", pickle.dumps({"w": np.arange(4.0), "s": np.float32(2)}, 5))
    put("innocuous_numpy_protocol2.pkl", pickle.dumps({"w": np.arange(4.0)}, 2))
    put("innocuous_several.pkl", pickle.dumps(1, 4) + pickle.dumps([2], 2))
    joblib.dump({"w": np.arange(100.0), "v": np.arange(7, dtype=np.int16), "n": 3}, os.path.join(OUT, "innocuous.joblib"))
    joblib.dump({"w": np.arange(100.0)}, os.path.join(OUT, "innocuous_zlib.joblib"), compress=3)
    joblib.dump({"o": np.array([1, "two", None], dtype=object)}, os.path.join(OUT, "innocuous_objects.joblib"))
    put("innocuous_gzip.pkl.gz", gzip.compress(pickle.dumps([1, 2]), mtime=0))
    out = io.BytesIO()
    np.save(out, np.array([1, "two"], dtype=object), allow_pickle=True)
    put("innocuous_objects.npy", out.getvalue())
    put("innocuous_torch.pt", zipped({"archive/data.pkl": torch_data(), "archive/version": b"3\n",
                                      "archive/data/0": struct.pack("<4f", 1, 2, 3, 4)}))
    out = io.BytesIO()
    np.save(out, np.arange(6).reshape(2, 3))
    put("none_numbers.npy", out.getvalue())
    out = io.BytesIO()
    np.savez(out, a=np.arange(3), b=np.zeros(2))
    put("none_numbers.npz", out.getvalue())
    put("none_texts.zip", zipped({"a.txt": b"nothing here", "b/c.csv": b"1,2\n"}, zipfile.ZIP_DEFLATED))
    put("none_keras.keras", zipped({"metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(64), "config.json":
        b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [{"module": "keras.layers", '
        b'"class_name": "Dense", "config": {}}]}}'}))
    put("suspicious_sklearn.pkl", b"\x80\x04" + stack_global("sklearn.tree._classes", "DecisionTreeClassifier") +
        b")\x81}" + short("depth") + b"K\x03sb.")


def attacks():
    put("dangerous_protocol0.pkl", RUN)
    put("dangerous_stack_global.pkl", b"\x80\x04" + stack_global("os", "system") + short("id") + b"\x85R.")
    put("dangerous_no_protocol.pkl", stack_global("posix", "system") + short("id") + b"\x85R.")
    put("dangerous_inst.pkl", b"(S'id'\nios\nsystem\n.")
    put("dangerous_obj.pkl", b"(cos\nsystem\nS'id'\no.")
    put("dangerous_newobj.pkl", b"\x80\x02csubprocess\nPopen\nS'id'\n\x85\x81.")
    put("dangerous_newobj_ex.pkl", b"\x80\x04" + stack_global("subprocess", "Popen") + short("id") + b"\x85}\x92.")
    # names through the memo: BINPUT, LONG_BINPUT, PUT, MEMOIZE (picklescan once lost track of them)
    put("dangerous_memo_binput.pkl", b"\x80\x02X\x02\0\0\0osq\x000X\x06\0\0\0systemq\x010h\0h\x01\x93X\x02\0\0\0id\x85R.")
    put("dangerous_memo_long.pkl", b"\x80\x02X\x02\0\0\0osr\x40\x42\x0f\x000X\x06\0\0\0systemr\x41\x42\x0f\x000"
        b"j\x40\x42\x0f\0j\x41\x42\x0f\0\x93X\x02\0\0\0id\x85R.")
    put("dangerous_memo_put.pkl", b"Vos\np7\n0Vsystem\np8\n0g7\ng8\n\x93Vid\n\x85R.")
    put("dangerous_memoize.pkl", b"\x80\x04" + short("os") + b"\x940" + short("system") + b"\x940h\0h\x01\x93" + short("id") +
        b"\x85R.")
    put("dangerous_dup.pkl", b"\x80\x04" + short("pty") + short("spawn") + b"2" + b"0" + b"\x93" + short("id") + b"\x85R.")
    put("dangerous_escaped_name.pkl", b"S'o\\x73'\nS'syst\\x65m'\n\x93S'id'\n\x85R.")
    put("dangerous_computed_name.pkl", b"\x80\x04c_codecs\nencode\n" + short("os") + short("utf-8") + b"\x86R" +
        short("system") + b"\x93" + short("id") + b"\x85R.")
    put("dangerous_computed_call.pkl", b"\x80\x04" + stack_global("collections", "OrderedDict") + b")R)R.")
    put("dangerous_extension.pkl", b"\x80\x02\x82\x01)R.")
    put("dangerous_dotted.pkl", b"\x80\x04" + stack_global("collections", "OrderedDict.__init__.__globals__") + b".")
    put("dangerous_getattr.pkl", b"\x80\x04" + stack_global("builtins", "getattr") + b"NN\x86R.")
    # names that blocklists did not have
    for number, (module, name) in enumerate([("timeit", "timeit"), ("pip", "main"), ("runpy", "run_path"), ("bdb", "Bdb.run"),
                                             ("numpy.testing._private.utils", "runstring"), ("torch.hub", "load"),
                                             ("asyncio.unix_events", "_UnixSubprocessTransport._start"), ("idlelib.pyshell",
                                             "ModifiedInterpreter.runcommand"), ("functools", "partial"), ("profile", "run"),
                                             ("operator", "attrgetter"), ("_pickle", "loads"), ("numpy", "load"),
                                             ("torch.jit", "CompilationUnit"), ("sklearn.externals.x", "Y"),
                                             ("torch._inductor.codecache", "CppCodeCache"), ("numpyx", "Evil")]):
        put(f"dangerous_unlisted{number:02d}.pkl", b"\x80\x04" + stack_global(module, name) + short("id") + b"\x85R.")
    # BUILD on a function changes it; modelscan#338 used numpy.prod
    put("dangerous_build_function.pkl", b"\x80\x04cnumpy\ndtype\n}" + short("x") + b"K\x01sb.")
    put("dangerous_setitem_global.pkl", b"\x80\x02csys\nmodules\nX\x02\0\0\0osNs.")
    # Python runs what stands before a break (the files of "nullifAI")
    put("dangerous_broken.pkl", RUN[:-1] + b"\xff\xff")
    put("dangerous_cut.pkl", RUN[:-1])
    put("dangerous_second_pickle.pkl", pickle.dumps([1]) + RUN)
    put("dangerous_popped.pkl", RUN[:-1] + b"0N.")
    put("dangerous_renamed.bin", b"\x80\x04" + stack_global("os", "system") + short("id") + b"\x85R.")
    put("dangerous_renamed.onnx", RUN)
    # in archives: by any name, nested, compressed, with a checksum that is wrong (CVE-2025-10156), of any extension
    put("dangerous_zip.pt", zipped({"archive/data.pkl": RUN}))
    put("dangerous_zip_hidden_name.pt", zipped({"archive/data.pkl": pickle.dumps([]), "archive/config.txt": RUN}))
    put("dangerous_zip_in_zip.pt", zipped({"a.zip": zipped({"b.dat": RUN}, zipfile.ZIP_DEFLATED)}))
    put("dangerous_tar_gz.bin", gzip.compress(tarred({"x/y.p": RUN}), mtime=0))
    bad = bytearray(zipped({"archive/data.pkl": RUN}))
    at = bad.index(b"PK\x01\x02")
    bad[14:18] = bad[at + 16:at + 20] = b"\0\0\0\0"
    put("dangerous_zip_wrong_crc.pt", bytes(bad))
    flags = bytearray(zipped({"archive/data.pkl": pickle.dumps([])}))
    flags[6] |= 1
    flags[flags.index(b"PK\x01\x02") + 8] |= 1
    put("suspicious_zip_encrypted.pt", bytes(flags))
    put("suspicious_zip_cut.pt", zipped({"archive/data.pkl": pickle.dumps(list(range(100)))})[:120])
    put("suspicious_xz.pkl.xz", b"\xfd7zXZ\0" + bytes(32))
    put("suspicious_7z.7z", b"7z\xbc\xaf\x27\x1c" + bytes(32))
    put("dangerous_zlib.pkl.z", zlib.compress(RUN))
    put("dangerous_bzip2.pkl.bz2", bz2.compress(RUN))
    # in a NumPy array, and in joblib's stream behind an array
    out = io.BytesIO()
    np.save(out, np.array([1], dtype=object), allow_pickle=True)
    array = out.getvalue()
    put("dangerous_array.npy", array[:array.index(b"\n") + 1] + RUN)
    put("dangerous_array.npz", zipped({"a.npy": array[:array.index(b"\n") + 1] + RUN}))
    joblib.dump([np.arange(50.0)], os.path.join(OUT, "x"))
    with open(os.path.join(OUT, "x"), "rb") as file:
        data = file.read()
    os.unlink(os.path.join(OUT, "x"))
    put("dangerous_behind_array.joblib", data[:-2] + RUN[:-1] + b"e.")
    put("suspicious_cut.joblib", data[:200])
    # Keras: a Lambda layer, a foreign module (CVE-2025-1550), and the same in HDF5
    layer = b'{"class_name": "Sequential", "config": {"layers": [%s]}}'
    put("dangerous_lambda.keras", zipped({"config.json": layer % b'{"class_name": "Lambda", "config": {}}'}))
    put("dangerous_module.keras", zipped({"config.json": layer % b'{"module": "subprocess", "class_name": "Popen"}'}))
    put("dangerous_lambda.h5", b"\x89HDF\r\n\x1a\n" + bytes(100) + layer % b'{"class_name": "Lambda", "config": {}}')
    put("suspicious_persistent.pkl", b"Pwhatever\n.")


def tarred(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    os.makedirs(CORPUS, exist_ok=True)
    honest()
    attacks()
    for each in sorted(os.listdir(OUT)):
        shutil.copy(os.path.join(OUT, each), os.path.join(CORPUS, each))
