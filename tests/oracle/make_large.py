#!/usr/bin/env python3
"""Writes random-weight bf16 checkpoint folders of well-known shapes, to measure time and memory with. Needs numpy.

  make_large.py 1b   FOLDER    Llama-3.2-1B: 1.24 G parameters, tied head, one file of 2.5 GB
  make_large.py 110m FOLDER    width 768, 12 layers: 110 M parameters, 0.2 GB
  make_large.py 7b   FOLDER    Llama-2-7B: 6.7 G parameters, 13.5 GB in three shards

Weights are N(0, 0.02), norm gains one. Streamed: one random block, made once from a fixed seed, is written over and over,
so the same shape always gives the same bytes and memory stays small. There is no tokenizer: run with --ids, or copy
one with --tokenizer FOLDER (any whose vocabulary is no larger than the model's), which is enough to calibrate with.
--layers N changes the number of layers.
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy as np

LLAMA3_ROPE = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
SHAPES = {
    "1b": dict(hidden_size=2048, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64,
               intermediate_size=8192, vocab_size=128256, tie_word_embeddings=True, max_position_embeddings=131072,
               rope_theta=500000.0, rope_scaling=LLAMA3_ROPE, bos_token_id=128000, eos_token_id=128001),
    "110m": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12, head_dim=64,
                 intermediate_size=2048, vocab_size=32000, tie_word_embeddings=True, max_position_embeddings=1024,
                 rope_theta=10000.0, rope_scaling=None, bos_token_id=1, eos_token_id=2),
    "7b": dict(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32, head_dim=128,
               intermediate_size=11008, vocab_size=32000, tie_word_embeddings=False, max_position_embeddings=4096,
               rope_theta=10000.0, rope_scaling=None, bos_token_id=1, eos_token_id=2),
}
SHARD_BYTES = 5_000_000_000
BLOCK = (1 << 24) + 37  # elements; odd, so that rows of a matrix do not repeat at the block's period


def tensors(c):
    """Yields (name, shape) in the order of the layers."""
    width, ffn = c["hidden_size"], c["intermediate_size"]
    q, kv = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    yield "model.embed_tokens.weight", [c["vocab_size"], width]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", [width]
        yield p + "self_attn.q_proj.weight", [q, width]
        yield p + "self_attn.k_proj.weight", [kv, width]
        yield p + "self_attn.v_proj.weight", [kv, width]
        yield p + "self_attn.o_proj.weight", [width, q]
        yield p + "post_attention_layernorm.weight", [width]
        yield p + "mlp.gate_proj.weight", [ffn, width]
        yield p + "mlp.up_proj.weight", [ffn, width]
        yield p + "mlp.down_proj.weight", [width, ffn]
    yield "model.norm.weight", [width]
    if not c["tie_word_embeddings"]:
        yield "lm_head.weight", [c["vocab_size"], width]


def shards_of(c):
    shards, size = [[]], 0
    for name, shape in tensors(c):
        bytes_ = 2 * int(np.prod(shape))
        if size and size + bytes_ > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape, bytes_))
        size += bytes_
    return shards


def random_block():
    """BLOCK values of N(0, 0.02) as bf16 bit patterns, rounded to nearest even."""
    bits = (np.random.default_rng(20240901).standard_normal(BLOCK, dtype=np.float32) * np.float32(0.02)).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_shard(path, shard, block, at):
    header, offset = {}, 0
    for name, shape, bytes_ in shard:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + bytes_]}
        offset += bytes_
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape, bytes_ in shard:
            left = bytes_ // 2
            if len(shape) == 1:
                np.full(left, 0x3F80, "<u2").tofile(out)  # 1.0
                continue
            while left:
                piece = block[at : at + left]
                piece.tofile(out)
                left -= len(piece)
                at = (at + len(piece)) % BLOCK
    return at


def main(kind, folder, layers, tokenizer):
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", rms_norm_eps=1e-5,
                  attention_bias=False, mlp_bias=False, torch_dtype="bfloat16", **SHAPES[kind])
    if layers:
        config["num_hidden_layers"] = layers
    tokens = sorted(pathlib.Path(tokenizer).glob("tokenizer*")) if tokenizer else []
    if tokenizer:  # the special tokens of the vocabulary that is there
        given = json.loads((pathlib.Path(tokenizer) / "config.json").read_text())
        config.update({key: given[key] for key in ("bos_token_id", "eos_token_id") if key in given})
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for path in tokens:
        shutil.copyfile(path, folder / path.name)
    shards, block, at, weight_map = shards_of(config), random_block(), 0, {}
    for i, shard in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        at = write_shard(folder / name, shard, block, at)
        weight_map.update({tensor: name for tensor, _, _ in shard})
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(t[2] for s in shards for t in s)}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("kind", choices=SHAPES)
parser.add_argument("folder")
parser.add_argument("--layers", type=int)
parser.add_argument("--tokenizer", metavar="FOLDER", help="folder of a model to copy tokenizer files from")
arguments = parser.parse_args()
main(arguments.kind, arguments.folder, arguments.layers, arguments.tokenizer)
