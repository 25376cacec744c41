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
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import save_file

from quantizers import (GGML_TYPES, IK_TYPES, Ggml, bits_of, bitsandbytes_round_trip, naive,
                        sign_quantization)

# What hone is to be compared with: its row, the peer's row.
PAIRS = [("hone nf4", "bitsandbytes nf4"), ("hone nf4dq", "bitsandbytes nf4 nested"),
         ("hone fp4", "bitsandbytes fp4"),
         ("hone nf4 calibrated", "llama.cpp Q4_K imatrix"),
         ("hone nf4 calibrated", "llama.cpp IQ4_NL imatrix"),
         ("hone nf4 calibrated", "llama.cpp IQ4_XS imatrix"),
         ("hone nf4 calibrated", "ik_llama IQ4_KS imatrix"),
         ("hone mxfp4", "plain rule mxfp4"), ("hone nvfp4", "plain rule nvfp4"),
         ("hone mxfp4 calibrated", "plain rule mxfp4"), ("hone nvfp4 calibrated", "plain rule nvfp4"),
         ("hone bcq2 calibrated", "llama.cpp Q2_K imatrix"),
         ("hone bcq2 calibrated", "ik_llama IQ2_KS imatrix"),
         ("hone b1", "signs, mean |w|"), ("hone b1 calibrated", "signs, mean |w|")]


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

    def print_ratios(self):
        rows = {row["name"]: row for row in self.rows}
        print(f"\n{'hone / peer':58s} {'bits':>7s} {'mse':>7s} {'KL':>7s}")
        for own, peer in PAIRS:
            if own not in rows or peer not in rows:
                continue
            a, b = rows[own], rows[peer]
            print(f"{own + ' / ' + peer:58s} {a['bits'] / b['bits']:7.3f} "
                  f"{a['mse'] / b['mse']:7.3f} {a['kl'] / b['kl']:7.3f}")


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
        formats = (args.formats or "q8,q6,nf4:32,nf4,nf4:128,nf4dq,int4:32,int4,fp4,mxfp4,nvfp4,nf4x,"
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
                bench.add_peer(f"{label} {name} imatrix", bits_of(ggml, kind),
                               lambda n, w: ggml.round_trip(kind, w, squares[n])[0])
        bench.print_ratios()
        if args.json:
            with open(args.json, "w") as file:
                json.dump(bench.rows, file, indent=1)


if __name__ == "__main__":
    main()
