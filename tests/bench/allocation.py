#!/usr/bin/env python3
"""What --target-bpw is worth: KL divergence at a target against the lower convex hull of the single
formats (every tensor in one format, embedding and head included, calibrated in the same way)."""
import argparse
import json
import os
import subprocess
import tempfile

SINGLES = "b1,ternary,bcq2p,bcq2,bcq2:64,bcq3,bcq3:64,nf4:128,nf4,nf4:32,q6,q8"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def hull(points):
    """Lower convex hull of (bits, loss), by bits."""
    out = []
    for p in sorted(points):
        while len(out) > 1 and ((out[-1][0] - out[-2][0]) * (p[1] - out[-2][1])
                                <= (out[-1][1] - out[-2][1]) * (p[0] - out[-2][0])):
            out.pop()
        out.append(p)
    return out


def at(points, bits):
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x0 <= bits <= x1:
            return y0 + (y1 - y0) * (bits - x0) / (x1 - x0)
    return float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hone", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True, help="held-out text to score on")
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--context", default="256")
    parser.add_argument("--chunks", default="16")
    parser.add_argument("--targets", default="2.25,2.5,3,3.5,4,4.5")
    parser.add_argument("--singles", default=SINGLES)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reference, program = os.path.join(folder, "reference"), os.path.join(folder, "program")
        run(args.hone, "compile", args.model, "-q", "-o", reference, "--weights", "f32")

        def score(label, *options):
            run(args.hone, "compile", args.model, "-q", "-o", program, "--calibrate", args.calibrate,
                "--calibration-context", args.context, *options)
            report = json.loads(run(args.hone, "report", program, "--json"))
            bits = report["bits_per_weight"]
            kl = json.loads(run(args.hone, "eval", program, "--text", args.text, "--context",
                                args.context, "--chunks", args.chunks, "--against", reference,
                                "--json"))["kl_mean"]
            print(f"{label:16s} {bits:7.4f} {kl:11.7f}", end="", flush=True)
            return bits, kl

        print(f"{'':16s} {'bits':>7s} {'KL':>11s} {'hull':>11s} {'KL/hull':>8s}")
        points = []
        for name in args.singles.split(","):
            points.append(score(name, "--weights", name, "--head", name))
            print()
        points = hull(points)
        for target in args.targets.split(","):
            bits, kl = score("target " + target, "--target-bpw", target)
            print(f" {at(points, bits):11.7f} {kl / at(points, bits):8.3f}", flush=True)


if __name__ == "__main__":
    main()
