#!/usr/bin/env python3
"""Quality of hone's formats against those of other quantizers, on one model and one text.

Peers are taken as they are installed: shared libraries of ggml (llama.cpp, ik_llama.cpp) given by
path, bitsandbytes if this Python has it. Nothing is fetched or built. Each peer quantizes the
weights of the linears with its own code (with an importance matrix from the calibration text where
it can use one); the weights it would compute with are written as an f32 checkpoint, compiled with
`hone compile --weights f32` and scored by `hone eval --against` like hone's own. Embedding and head
stay f32 for everybody, activations too, so the table is about weight codes alone.

Rows whose length is no multiple of a peer's block are padded with zeros (zero importance) for it;
its bits are counted as its nominal bits per weight, without the padding: both favour the peer.
"""
import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

GGML_TYPES = {"Q4_0": 2, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q6_K": 14,
              "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22,
              "IQ4_XS": 23, "IQ1_M": 29, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40}
IK_TYPES = {"IQ2_K": 137, "IQ3_K": 138, "IQ4_K": 139, "IQ4_KS": 144, "IQ2_KS": 145, "IQ4_KSS": 146,
            "IQ2_KT": 153, "IQ3_KT": 154, "IQ4_KT": 155, "IQ3_KS": 156, "IQ2_KL": 157}
BITS = {"Q4_0": 4.5, "Q8_0": 8.5, "Q2_K": 2.625, "Q3_K": 3.4375, "Q4_K": 4.5, "Q6_K": 6.5625,
        "IQ2_XXS": 2.0625, "IQ2_XS": 2.3125, "IQ3_XXS": 3.0625, "IQ4_NL": 4.5, "IQ3_S": 3.4375,
        "IQ2_S": 2.5625, "IQ4_XS": 4.25, "IQ1_M": 1.75, "TQ2_0": 2.0625, "MXFP4": 4.25,
        "NVFP4": 4.5}


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


def linear_names(weights):
    return [n for n in weights if n.endswith("_proj.weight")]


def input_squares(model, text, context, tokens):
    """Mean squares of what enters each linear: the importance matrix of llama.cpp."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer(open(text).read(), return_tensors="pt", verbose=False).input_ids[0]
    windows = max(1, min(tokens, len(ids)) // context)
    stride = max(1, (len(ids) - context) // max(1, windows - 1))
    sums = {}

    def hook(name):
        def add(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            total, count = sums.get(name, (0, 0))
            sums[name] = (total + (x * x).sum(0), count + len(x))
        return add
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(hook(name + ".weight"))
    with torch.no_grad():
        for w in range(windows):
            net(ids[w * stride:w * stride + context][None])
    return {n: (t / c).numpy().astype(np.float32) for n, (t, c) in sums.items()}


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.rows = args, folder, []
        self.weights = {n: np.asarray(w, np.float32) for n, w in load_weights(args.model).items()}
        self.linears = linear_names(self.weights)
        self.reference = os.path.join(folder, "reference")
        self.compile(args.model, self.reference, ["--weights", "f32"])

    def compile(self, model, out, options):
        subprocess.run([self.args.hone, "compile", model, "-o", out, "-q"] + options, check=True)

    def score(self, program):
        out = subprocess.run(
            [self.args.hone, "eval", program, "--text", self.args.text, "--context",
             str(self.args.context), "--chunks", str(self.args.chunks), "--against", self.reference,
             "--json"], check=True, capture_output=True, text=True).stdout
        return json.loads(out)

    def add(self, name, bits, program, mse):
        result = self.score(program)
        row = {"name": name, "bits": bits, "mse": mse, "kl": result["kl_mean"],
               "top1": result["top1_agreement"], "perplexity": result["perplexity"]}
        self.rows.append(row)
        print(f"{name:34s} {bits:6.3f} {mse if mse is not None else float('nan'):10.6f} "
              f"{row['kl']:11.7f} {100 * row['top1']:8.3f} {row['perplexity']:10.4f}", flush=True)

    def add_peer(self, name, bits, quantize):
        folder = os.path.join(self.folder, "checkpoint")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        for file in os.listdir(self.args.model):
            if not file.endswith(".safetensors") and not file.endswith(".index.json"):
                shutil.copy(os.path.join(self.args.model, file), folder)
        weights, noise, signal = dict(self.weights), 0.0, 0.0
        for n in self.linears:
            weights[n] = quantize(n, self.weights[n])
            noise += float(((weights[n] - self.weights[n]).astype(np.float64)**2).sum())
            signal += float((self.weights[n].astype(np.float64)**2).sum())
        save_file(weights, os.path.join(folder, "model.safetensors"))
        program = os.path.join(self.folder, "peer")
        self.compile(folder, program, ["--weights", "f32"])
        self.add(name, bits, program, noise / signal)

    def add_hone(self, format, options, label):
        program = os.path.join(self.folder, "own")
        self.compile(self.args.model, program,
                     ["--weights", format, "--head", "f32", "--acts", "f32"] + options)
        info = subprocess.run([program, "--info", "--json"], capture_output=True, text=True)
        bits, mse = None, None
        manifest = read_manifest(program)
        noise = signal = stored = count = 0
        for t in manifest["tensors"]:
            if "noise" in t:
                noise, signal = noise + t["noise"], signal + t["signal"]
                stored, count = stored + t["bits"] * t["N"] * t["K"], count + t["N"] * t["K"]
        if count:
            bits, mse = stored / count, noise / signal
        self.add("hone " + label, bits or float("nan"), program, mse)


def read_manifest(program):
    out = subprocess.run(["objcopy", "-O", "binary", "--only-section=.hone.manifest",
                          "--set-section-flags", ".hone.manifest=alloc", program, "/dev/stdout"],
                         check=True, capture_output=True).stdout
    return json.loads(out)


def load_weights(model):
    import torch
    from safetensors.torch import load_file as load
    weights = {}
    for file in sorted(os.listdir(model)):
        if file.endswith(".safetensors"):
            for n, t in load(os.path.join(model, file)).items():
                weights[n] = t.to(torch.float32).numpy()
    return weights


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hone", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True, help="held-out text to score on")
    parser.add_argument("--calibrate", required=True, help="text to calibrate with")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--ggml", help="libggml-base.so of llama.cpp")
    parser.add_argument("--ik", help="libggml.so of ik_llama.cpp")
    parser.add_argument("--formats", help="hone's formats to run, comma-separated")
    parser.add_argument("--json", help="write the table here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, folder)
        print(f"{'':34s} {'bits':>6s} {'mse':>10s} {'KL':>11s} {'top1 %':>8s} {'ppl':>10s}")
        formats = (args.formats or "q8,q6,nf4:32,nf4,nf4:128,int4:32,int4,fp4,mxfp4,nvfp4,nf4x,"
                   "bcq3,bcq3:64,bcq2,bcq2:64,ternary,b1").split(",")
        for format in formats:
            bench.add_hone(format, [], format)
            bench.add_hone(format, ["--calibrate", args.calibrate, "--calibration-context",
                                    str(args.context), "--calibration-tokens", str(args.tokens)],
                           format + " calibrated")
        for kind in ("mxfp4", "nvfp4"):
            bench.add_peer("plain rule " + kind, 4.25 if kind == "mxfp4" else 4.5,
                           lambda n, w: naive(kind, w))
        bench.add_peer("signs, mean |w|", 1.125, lambda n, w: sign_quantization(w))
        try:
            import bitsandbytes  # noqa: F401
            for kind in ("nf4", "fp4"):
                bench.add_peer(f"bitsandbytes {kind}", 4.5,
                               lambda n, w: bitsandbytes_round_trip(kind, w, False))
                bench.add_peer(f"bitsandbytes {kind} nested", 4.127,
                               lambda n, w: bitsandbytes_round_trip(kind, w, True))
        except ImportError:
            print("bitsandbytes is not installed: left out", file=sys.stderr)
        squares = input_squares(args.model, args.calibrate, args.context, args.tokens)
        for label, path, types in (("llama.cpp", args.ggml, GGML_TYPES), ("ik_llama", args.ik, IK_TYPES)):
            if not path:
                continue
            ggml = Ggml(path)
            for name, kind in types.items():
                bits = ggml.round_trip(kind, np.ones((1, 256), np.float32), np.ones(256, np.float32))[1]
                bench.add_peer(f"{label} {name} imatrix", bits,
                               lambda n, w: ggml.round_trip(kind, w, squares[n])[0])
        if args.json:
            with open(args.json, "w") as file:
                json.dump(bench.rows, file, indent=1)


if __name__ == "__main__":
    main()
