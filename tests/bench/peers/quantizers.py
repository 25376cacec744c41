"""Quantizers of other projects, as they are installed: shared libraries of ggml (llama.cpp,
ik_llama.cpp) given by path, and bitsandbytes. Each gives the weights that its codes stand for."""
import ctypes
import os

import numpy as np

GGML_TYPES = {"Q4_0": 2, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q6_K": 14,
              "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22,
              "IQ4_XS": 23, "IQ1_M": 29, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40}
IK_TYPES = {"IQ2_K": 137, "IQ3_K": 138, "IQ4_K": 139, "IQ4_KS": 144, "IQ2_KS": 145, "IQ4_KSS": 146,
            "IQ2_KT": 153, "IQ3_KT": 154, "IQ4_KT": 155, "IQ3_KS": 156, "IQ2_KL": 157}


class Ggml:
    """ggml's quantizers through its C interface."""

    def __init__(self, path):
        folder = os.path.dirname(os.path.abspath(path))
        for name in ("libggml-base.so",):  # libggml of llama.cpp needs it beside it
            beside = os.path.join(folder, name)
            if os.path.exists(beside) and beside != os.path.abspath(path):
                ctypes.CDLL(beside, mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
        c = ctypes
        self.lib.ggml_quantize_init.argtypes = [c.c_int]
        self.lib.ggml_quantize_chunk.restype = c.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [c.c_int, c.c_void_p, c.c_void_p, c.c_int64,
                                                 c.c_int64, c.c_int64, c.c_void_p, c.c_void_p]
        self.lib.ggml_row_size.restype = c.c_size_t
        self.lib.ggml_row_size.argtypes = [c.c_int, c.c_int64]
        self.lib.ggml_blck_size.restype = c.c_int64
        self.lib.ggml_blck_size.argtypes = [c.c_int]
        if hasattr(self.lib, "ggml_init"):  # fills the half-precision tables of older versions
            class Params(c.Structure):
                _fields_ = [("mem_size", c.c_size_t), ("mem_buffer", c.c_void_p),
                            ("no_alloc", c.c_bool)]
            self.lib.ggml_init.restype = c.c_void_p
            self.lib.ggml_init.argtypes = [Params]
            self.lib.ggml_init(Params(1 << 20, None, False))
        self.to_float = self._to_float()

    def _to_float(self):
        lib, c = self.lib, ctypes
        names = ("ggml_get_type_traits", "ggml_internal_get_type_traits")
        if hasattr(lib, names[0]):  # a pointer to name, blck_size, blck_size_interleave, size, is_q, to_float
            get = getattr(lib, names[0])
            get.restype = c.c_void_p
            get.argtypes = [c.c_int]
            offset = 40

            def pointer(kind):
                return c.cast(get(kind) + offset, c.POINTER(c.c_void_p))[0]
        else:  # ik_llama.cpp returns the struct by value: name, blck_size, type_size, is_q, to_float, ...
            class Traits(c.Structure):
                _fields_ = [("bytes", c.c_uint8 * 256)]
            get = getattr(lib, names[1])
            get.restype = Traits
            get.argtypes = [c.c_int]

            def pointer(kind):
                raw = bytes(get(kind).bytes)
                return int.from_bytes(raw[self.offset:self.offset + 8], "little")
            self.offset = 40
        kind = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_int64)
        return lambda number: kind(pointer(number))

    def round_trip(self, kind, weight, importance):
        N, K = weight.shape
        block = self.lib.ggml_blck_size(kind)
        padded = -(-K // block) * block
        source = np.zeros((N, padded), np.float32)
        source[:, :K] = weight
        use = None
        if importance is not None:
            use = np.zeros(padded, np.float32)
            use[:K] = importance
        self.lib.ggml_quantize_init(kind)
        row = self.lib.ggml_row_size(kind, padded)
        codes = np.zeros(N * row + 64, np.uint8)
        self.lib.ggml_quantize_chunk(kind, source.ctypes.data, codes.ctypes.data, 0, N, padded,
                                     use.ctypes.data if use is not None else None,
                                     None)  # ik_llama.cpp's own options; others ignore it
        out = np.zeros((N, padded), np.float32)
        decode = self.to_float(kind)
        for n in range(N):
            decode(codes.ctypes.data + n * row, out[n].ctypes.data, padded)
        return out[:, :K].copy(), row * 8 / padded


def bitsandbytes_round_trip(kind, weight, nested):
    import bitsandbytes.functional as F
    import torch
    tensor = torch.from_numpy(weight.copy())
    codes, state = F.quantize_4bit(tensor, blocksize=64, quant_type=kind, compress_statistics=nested)
    return F.dequantize_4bit(codes, state).numpy().astype(np.float32).reshape(weight.shape)


def naive(kind, weight):
    """The published rules that the formats came with: OCP's floor rule, amax / 6."""
    N, K = weight.shape
    levels = np.array([0, .5, 1, 1.5, 2, 3, 4, 6], np.float32)
    size = 32 if kind == "mxfp4" else 16
    padded = -(-K // size) * size
    w = np.zeros((N, padded), np.float32)
    w[:, :K] = weight
    blocks = w.reshape(-1, size)
    largest = np.abs(blocks).max(1, keepdims=True)
    if kind == "mxfp4":
        scale = np.exp2(np.floor(np.log2(np.maximum(largest, 1e-30))) - 2)
    else:
        factor = np.abs(w).max() / (448 * 6)
        codes = np.arange(127)
        e4m3 = np.where(codes < 8, codes * 2.0**-9, (1 + codes % 8 / 8) * 2.0**(codes // 8 - 7))
        wanted = largest / 6 / factor
        scale = e4m3[np.abs(wanted - e4m3[None, :]).argmin(1)][:, None] * factor
    scale = np.where(scale == 0, 1, scale)
    near = np.abs(np.abs(blocks / scale)[:, :, None] - levels).argmin(2)
    out = np.sign(blocks) * levels[near] * scale
    return out.reshape(N, padded)[:, :K].astype(np.float32)


def sign_quantization(weight, group=128):
    N, K = weight.shape
    out = np.empty_like(weight)
    for first in range(0, K, group):
        block = weight[:, first:first + group]
        out[:, first:first + group] = np.where(block < 0, -1, 1) * np.abs(block).mean(1, keepdims=True)
    return out


def bits_of(ggml, kind):
    """Bits per weight of a ggml type."""
    return ggml.round_trip(kind, np.ones((1, 256), np.float32), np.ones(256, np.float32))[1]
