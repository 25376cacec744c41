#!/usr/bin/env python3
"""Output error of single real layers under hone's quantizers and others, on inputs nobody has seen.

Takes any trained model that the installed transformers can load, also of kinds that hone does not
compile: its linears and what enters them while it reads a text. Each quantizer sees the weights W
and statistics of the inputs of one text; the error is tr(D H D^T) / tr(W H W^T) with D = W' - W and
H the second moments of the inputs of another text. Printed is the geometric mean over the layers,
and the ratio to the first row. Nothing is fetched or built: --layer is build/PRESET/tests/bench/
peers/layer, --ggml and --ik are installed libraries.
"""
import argparse
import os
import subprocess
import tempfile

import numpy as np
from safetensors.numpy import save_file

from quantizers import (GGML_TYPES, IK_TYPES, Ggml, bits_of, bitsandbytes_round_trip, naive,
                        sign_quantization)

FORMATS = "nf4,nf4:32,nf4x,int4,fp4,mxfp4,nvfp4,bcq3,bcq2,ternary,b1"
WANTED_GGML = ["Q4_0", "Q4_K", "IQ4_NL", "IQ4_XS", "MXFP4", "Q3_K", "Q2_K", "IQ2_XS", "IQ1_M"]
WANTED_IK = ["IQ4_KS", "IQ3_KS", "IQ2_KS"]


def collect(model, tokenizer, text, context, windows, names):
    """Second moments of the inputs of the named linears over windows spread over the text."""
    import torch
    ids = tokenizer(open(text).read(), add_special_tokens=False, verbose=False).input_ids
    modules, sums, count = dict(model.named_modules()), {}, {}

    def hook(name):
        def add(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            sums[name] = sums.get(name, 0) + x.T @ x
            count[name] = count.get(name, 0) + len(x)
        return add
    handles = [modules[n].register_forward_pre_hook(hook(n)) for n in names]
    stride = max(1, (len(ids) - context) // max(1, windows - 1))
    with torch.no_grad():
        for w in range(windows):
            model(torch.tensor([ids[w * stride:w * stride + context]]))
    for handle in handles:
        handle.remove()
    return {n: (sums[n] / count[n]).numpy() for n in names}


def error(weight, got, moments):
    def energy(x):
        return float(np.einsum("nk,kj,nj->", x, moments, x, optimize=True))
    return energy((got - weight).astype(np.float64)) / energy(weight.astype(np.float64))


class Study:
    def __init__(self, args, layers, folder):
        self.args, self.layers, self.folder, self.first = args, layers, folder, None
        print(f"{'':34s} {'bits':>7s} {'error':>11s} {'ratio':>7s}")

    def add(self, name, quantize):
        """quantize(layer) gives bits and weights."""
        bits, logs = [], []
        for layer in self.layers:
            b, got = quantize(layer)
            bits.append(b)
            logs.append(np.log(error(layer["weight"], got, layer["unseen"])))
        value = float(np.exp(np.mean(logs)))
        self.first = self.first or value
        print(f"{name:34s} {np.mean(bits):7.3f} {value:11.6f} {value / self.first:7.3f}", flush=True)

    def own(self, format, solver):
        def quantize(layer):
            out = os.path.join(self.folder, "out")
            bits = subprocess.run([self.args.layer, layer["folder"], format, solver, out], check=True,
                                  capture_output=True, text=True).stdout
            return float(bits), np.fromfile(out, np.float32).reshape(layer["weight"].shape)
        return quantize


def open_layers(args, folder):
    import torch
    from transformers import AutoModel, AutoTokenizer
    model = AutoModel.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    linears = [(n, m) for n, m in model.named_modules()
               if isinstance(m, torch.nn.Linear) and ".layer" in n]
    names = [n for n, _ in linears][::args.every]
    seen = collect(model, tokenizer, args.calibrate, args.context, args.windows, names)
    unseen = collect(model, tokenizer, args.text, args.context, args.windows, names)
    layers = []
    for i, name in enumerate(names):
        layer = {"folder": os.path.join(folder, str(i)), "unseen": unseen[name],
                 "weight": dict(linears)[name].weight.detach().numpy().copy(),
                 "squares": np.diag(seen[name]).astype(np.float32)}
        os.mkdir(layer["folder"])
        save_file({"weight": layer["weight"], "moments": seen[name].astype(np.float32)},
                  os.path.join(layer["folder"], "model.safetensors"))
        layers.append(layer)
    return layers


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--model", required=True, help="folder of a transformers checkpoint")
    parser.add_argument("--text", required=True, help="what the errors are measured on")
    parser.add_argument("--calibrate", required=True, help="what the quantizers know")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--every", type=int, default=1, help="take every n-th linear")
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("--ggml", help="libggml-base.so of llama.cpp")
    parser.add_argument("--ik", help="libggml.so of ik_llama.cpp")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(args, open_layers(args, folder), folder)
        try:
            import bitsandbytes  # noqa: F401
            for kind in ("nf4", "fp4"):
                study.add(f"bitsandbytes {kind}",
                          lambda l: (4.5, bitsandbytes_round_trip(kind, l["weight"], False)))
        except ImportError:
            print("bitsandbytes is not installed: left out")
        study.add("plain rule mxfp4", lambda l: (4.25, naive("mxfp4", l["weight"])))
        study.add("plain rule nvfp4", lambda l: (4.5, naive("nvfp4", l["weight"])))
        study.add("signs, mean |w|", lambda l: (1.125, sign_quantization(l["weight"])))
        for label, path, types, wanted in (("llama.cpp", args.ggml, GGML_TYPES, WANTED_GGML),
                                           ("ik_llama", args.ik, IK_TYPES, WANTED_IK)):
            ggml = Ggml(path) if path else None
            for name in wanted if path else []:
                kind = types[name]
                study.add(f"{label} {name} imatrix", lambda l: (
                    bits_of(ggml, kind), ggml.round_trip(kind, l["weight"], l["squares"])[0]))
        for format in args.formats.split(","):
            for solver in ("none", "scales", "descent", "gptq"):
                study.add(f"hone {format} {solver}", study.own(format, solver))


if __name__ == "__main__":
    main()
