#!/usr/bin/env python3
"""Speed of one model in hone and in programs that are already installed, in turns on the same machine.

  speed.py --hone HONE MODEL [--weights FMT[+HEAD] ...] [--threads N ...] [--prompt N ...] [--tokens N] [--rounds N]
           [--peer NAME=BENCH:FILE.gguf[:OPTION,...]] ... [--first NAME=CLI:FILE.gguf] ...

MODEL is a checkpoint folder. --peer names a llama-bench (of llama.cpp or a fork) and the file it is given; --first names a
llama-completion, whose time from start to the end of one token is compared with the program's. Nothing is fetched or built.
Every round runs each of them once; medians and ratios to hone's are printed. share: of what a loop that only reads memory
reaches in the same run, with the bytes that a token must read (weights of every layer, the head, the KV cache).
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

PROMPT = "It was a bright cold day in April, and the clocks were striking thirteen."


def run(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def compile_model(args, folder, name):
    weights, _, head = name.partition("+")
    out = pathlib.Path(folder) / name.replace(":", "-")
    command = [args.hone, "compile", args.model, "-o", out, "-q"]
    if weights.endswith(",f32"):
        weights = weights[:-4]
        command += ["--acts", "f32"]
    command += ["--weights", weights] + (["--head", head] if head else []) + args.compile
    run(command)
    return out


def bench_hone(args, program, threads, prompt):
    out = json.loads(run([args.hone, "bench", program, "--json", "--repeats", 1, "--threads", threads, "--prompt", prompt,
                          "--tokens", args.tokens]))
    return {"prefill": out["prefill_tokens_per_second"], "decode": out["decode_tokens_per_second"],
            "share": 100 * out["share"], "gbs": out["achieved_bytes_per_second"] / 1e9}


def bench_peer(args, peer, threads, prompt):
    bench, file, *options = peer.split(":")
    command = [bench, "-m", file, "-t", threads, "-p", prompt, "-n", args.tokens, "-r", 1, "-o", "json"]
    out = json.loads(run(command + [o for option in options for o in option.split(",")]))
    return {"prefill": max(r["avg_ts"] for r in out if r["n_prompt"]), "decode": max(r["avg_ts"] for r in out if r["n_gen"])}


def median(rows, key):
    values = [row[key] for row in rows if key in row]
    return statistics.median(values) if values else float("nan")


def speeds(args, programs, peers):
    for threads in args.threads:
        for prompt in args.prompt:
            rows = {name: [] for name in [*programs, *peers]}
            for _ in range(args.rounds):
                for name, program in programs.items():
                    rows[name].append(bench_hone(args, program, threads, prompt))
                for name, peer in peers.items():
                    rows[name].append(bench_peer(args, peer, threads, prompt))
            print(f"\n{threads} threads, prompt {prompt}, {args.tokens} tokens, median of {args.rounds}")
            ratios = "".join(f"  {'/ ' + name:>18}" for name in peers)
            print(f"{'':20} {'decode t/s':>10} {'GB/s':>6} {'share':>6} {'prefill t/s':>11}{ratios}   (decode, prefill)")
            for name, taken in rows.items():
                decode, prefill = median(taken, "decode"), median(taken, "prefill")
                line = f"{name:20} {decode:10.2f} {median(taken, 'gbs'):6.1f} {median(taken, 'share'):5.0f}% {prefill:11.1f}"
                for peer in peers:
                    if name in programs:
                        line += f"  {decode / median(rows[peer], 'decode'):8.2f} {prefill / median(rows[peer], 'prefill'):8.2f} "
                print(line, flush=True)


def first_tokens(args, programs, first):
    for threads in args.threads:
        taken = {name: [] for name in [*programs, *first]}
        for _ in range(3 * args.rounds):
            for name, program in programs.items():
                taken[name].append(timed([program, "--prompt", PROMPT, "--tokens", 1, "--temp", 0, "--threads", threads]))
            for name, peer in first.items():
                cli, file = peer.split(":")
                taken[name].append(timed([cli, "-m", file, "-p", PROMPT, "-n", 1, "-t", threads, "-no-cnv", "--no-warmup",
                                          "--temp", 0]))
        print(f"\nfirst token, {threads} threads, from start to exit, ms, median of {3 * args.rounds}")
        for name, times in taken.items():
            ratios = "".join(f"  / {peer} {statistics.median(times) / statistics.median(taken[peer]):.2f}" for peer in first
                             if name in programs)
            print(f"{name:20} {1e3 * statistics.median(times):8.1f}{ratios}", flush=True)


def timed(command):
    start = time.perf_counter()
    run(command)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--hone", required=True)
    parser.add_argument("--weights", nargs="+", default=["nf4"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--prompt", nargs="+", type=int, default=[128])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", type=str.split, default=[], help="more options of hone compile, in one word")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--first", action="append", default=[])
    args = parser.parse_args()
    peers = dict(p.split("=", 1) for p in args.peer)
    first = dict(p.split("=", 1) for p in args.first)
    with tempfile.TemporaryDirectory() as folder:
        programs = {name: compile_model(args, folder, name) for name in args.weights}
        speeds(args, programs, peers)
        if first:
            first_tokens(args, programs, first)


if __name__ == "__main__":
    main()
