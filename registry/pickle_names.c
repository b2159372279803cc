/*
 * pickle_names.c: what a pickle may name. A list of what is known to be harmless, never of what is known to be bad.
 *
 * innocuous: data only, whatever the arguments. suspicious: classes of libraries that people train with; loading them
 * runs those libraries' code, so they are quarantined like all, but are no sign of an attack. Everything else is
 * dangerous: lists of bad names have been got round again and again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "module name", sorted (strcmp): looked up by bisection. */
static const char *const innocuous[] = {
    "__builtin__ bool",
    "__builtin__ bytearray",
    "__builtin__ bytes",
    "__builtin__ complex",
    "__builtin__ dict",
    "__builtin__ float",
    "__builtin__ frozenset",
    "__builtin__ int",
    "__builtin__ list",
    "__builtin__ long",
    "__builtin__ object",
    "__builtin__ range",
    "__builtin__ set",
    "__builtin__ slice",
    "__builtin__ str",
    "__builtin__ tuple",
    "__builtin__ unicode",
    "__builtin__ xrange",
    "_codecs encode",
    "builtins bool",
    "builtins bytearray",
    "builtins bytes",
    "builtins complex",
    "builtins dict",
    "builtins float",
    "builtins frozenset",
    "builtins int",
    "builtins list",
    "builtins object",
    "builtins range",
    "builtins set",
    "builtins slice",
    "builtins str",
    "builtins tuple",
    "collections Counter",
    "collections OrderedDict",
    "collections defaultdict",
    "collections deque",
    "copy_reg _reconstructor",
    "copyreg _reconstructor",
    "datetime date",
    "datetime datetime",
    "datetime time",
    "datetime timedelta",
    "datetime timezone",
    "decimal Decimal",
    "fractions Fraction",
    "joblib.numpy_pickle NumpyArrayWrapper",
    "numpy bool_",
    "numpy dtype",
    "numpy float16",
    "numpy float32",
    "numpy float64",
    "numpy int16",
    "numpy int32",
    "numpy int64",
    "numpy int8",
    "numpy ndarray",
    "numpy uint16",
    "numpy uint32",
    "numpy uint64",
    "numpy uint8",
    "numpy._core.multiarray _reconstruct",
    "numpy._core.multiarray scalar",
    "numpy._core.numeric _frombuffer",
    "numpy.core.multiarray _reconstruct",
    "numpy.core.multiarray scalar",
    "numpy.core.numeric _frombuffer",
    "numpy.dtypes BoolDType",
    "numpy.dtypes Float16DType",
    "numpy.dtypes Float32DType",
    "numpy.dtypes Float64DType",
    "numpy.dtypes Int16DType",
    "numpy.dtypes Int32DType",
    "numpy.dtypes Int64DType",
    "numpy.dtypes Int8DType",
    "numpy.dtypes ObjectDType",
    "numpy.dtypes StrDType",
    "numpy.dtypes UInt16DType",
    "numpy.dtypes UInt32DType",
    "numpy.dtypes UInt64DType",
    "numpy.dtypes UInt8DType",
    "numpy.ma.core MaskedArray",
    "numpy.ma.core _mareconstruct",
    "pathlib Path",
    "pathlib PosixPath",
    "pathlib PurePath",
    "pathlib PurePosixPath",
    "pathlib PureWindowsPath",
    "pathlib WindowsPath",
    "torch BFloat16Storage",
    "torch BoolStorage",
    "torch ByteStorage",
    "torch CharStorage",
    "torch ComplexDoubleStorage",
    "torch ComplexFloatStorage",
    "torch DoubleStorage",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch IntStorage",
    "torch LongStorage",
    "torch QInt32Storage",
    "torch QInt8Storage",
    "torch QUInt8Storage",
    "torch ShortStorage",
    "torch Size",
    "torch Tensor",
    "torch bfloat16",
    "torch bool",
    "torch complex128",
    "torch complex64",
    "torch device",
    "torch float16",
    "torch float32",
    "torch float64",
    "torch float8_e4m3fn",
    "torch float8_e5m2",
    "torch int16",
    "torch int32",
    "torch int64",
    "torch int8",
    "torch per_channel_affine",
    "torch per_tensor_affine",
    "torch qint32",
    "torch qint8",
    "torch quint8",
    "torch strided",
    "torch uint8",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_sparse_tensor",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch.nn.parameter Parameter",
    "torch.serialization _get_layout",
    "torch.storage TypedStorage",
    "torch.storage UntypedStorage",
    "torch.storage _TypedStorage",
    "torch.storage _UntypedStorage",
    "uuid UUID",
};

static const char *const suspicious[] = {
    "numpy.random._pickle __bit_generator_ctor",
    "numpy.random._pickle __generator_ctor",
    "numpy.random._pickle __randomstate_ctor",
    "pandas._libs.internals _unpickle_block",
    "pandas._libs.tslibs.timestamps _unpickle_timestamp",
    "pandas.core.indexes.base Index",
    "pandas.core.indexes.base _new_Index",
    "pandas.core.indexes.datetimes _new_DatetimeIndex",
    "scipy.sparse._bsr bsr_array",
    "scipy.sparse._bsr bsr_matrix",
    "scipy.sparse._coo coo_array",
    "scipy.sparse._coo coo_matrix",
    "scipy.sparse._csc csc_array",
    "scipy.sparse._csc csc_matrix",
    "scipy.sparse._csr csr_array",
    "scipy.sparse._csr csr_matrix",
    "scipy.sparse._dia dia_array",
    "scipy.sparse._dia dia_matrix",
    "scipy.sparse._dok dok_array",
    "scipy.sparse._dok dok_matrix",
    "scipy.sparse._lil lil_array",
    "scipy.sparse._lil lil_matrix",
    "scipy.sparse.bsr bsr_matrix",
    "scipy.sparse.coo coo_matrix",
    "scipy.sparse.csc csc_matrix",
    "scipy.sparse.csr csr_matrix",
    "scipy.sparse.dia dia_matrix",
    "scipy.sparse.dok dok_matrix",
    "scipy.sparse.lil lil_matrix",
    "sklearn.metrics._dist_metrics newObj",
    "sklearn.neighbors._ball_tree newObj",
    "sklearn.neighbors._kd_tree newObj",
    "sklearn.utils Bunch",
    "sklearn.utils._bunch Bunch",
    "sklearn.utils.deprecation DeprecationDict",
    "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_device_tensor_from_numpy",
    "torch._utils _rebuild_parameter_with_state",
};

/* Classes of these packages (a name that begins with a capital letter) are suspicious, not dangerous … */
static const char *const packages[] = {"catboost",     "category_encoders",
                                       "gensim",       "imblearn",
                                       "keras",        "lightgbm",
                                       "numpy",        "pandas",
                                       "scipy",        "sentence_transformers",
                                       "sklearn",      "skops",
                                       "statsmodels",  "tensorflow",
                                       "timm",         "tokenizers",
                                       "torch",        "torchvision",
                                       "transformers", "ultralytics",
                                       "xgboost"};
/* … unless one of these stands in their path: things that read files, run commands or bring other packages. */
static const char *const paths[] = {"_testing",  "compat",   "ctypeslib", "distributed", "distutils",
                                    "externals", "f2py",     "hub",       "io",          "jit",
                                    "package",   "plotting", "testing",   "tests",       "utils",
                                    "_utils",    "_dynamo",  "_inductor", "fx",          "multiprocessing"};

static int by_text(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static bool listed(const char *text, const char *const *list, size_t count)
{
    return bsearch(text, list, count, sizeof *list, by_text) != NULL;
}

/* Is `part` one of the names between the dots of the module, from the second on? */
static bool on_path(td_text module, const char *part)
{
    const char *at = module.data, *end = at + module.size;
    size_t length = strlen(part);
    for (at = memchr(at, '.', module.size); at != NULL; at = memchr(at, '.', (size_t)(end - at))) {
        at++;
        if ((size_t)(end - at) >= length && memcmp(at, part, length) == 0 &&
            ((size_t)(end - at) == length || at[length] == '.')) {
            return true;
        }
    }
    return false;
}

static bool is_class_of_library(td_text module, td_text name)
{
    const char *at = name.data;
    size_t skip = name.size > 1 && at[0] == '_' ? 1 : 0;
    if (name.size <= skip || at[skip] < 'A' || at[skip] > 'Z' || memchr(at, '.', name.size) != NULL) {
        return false;
    }
    for (size_t i = 0; i < TD_COUNT_OF(paths); i++) {
        if (on_path(module, paths[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < TD_COUNT_OF(packages); i++) {
        size_t length = strlen(packages[i]);
        bool same = module.size >= length && memcmp(module.data, packages[i], length) == 0;
        if (same && (module.size == length || ((const char *)module.data)[length] == '.')) {
            return true;
        }
    }
    return false;
}

td_verdict td_pickle__judge(td_text module, td_text name)
{
    char text[256];
    int length = module.size + name.size + 2 < sizeof text
                     ? snprintf(text, sizeof text, "%.*s %.*s", (int)module.size, (const char *)module.data,
                                (int)name.size, (const char *)name.data)
                     : -1;
    if (length != (int)(module.size + name.size + 1)) { /* too long, or with a NUL inside */
        return TD_VERDICT_DANGEROUS;
    }
    if (listed(text, innocuous, TD_COUNT_OF(innocuous))) {
        return TD_VERDICT_INNOCUOUS;
    }
    bool known = listed(text, suspicious, TD_COUNT_OF(suspicious)) || is_class_of_library(module, name);
    return known ? TD_VERDICT_SUSPICIOUS : TD_VERDICT_DANGEROUS;
}
