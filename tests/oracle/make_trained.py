#!/usr/bin/env python3
"""Writes the fixtures of models that are trained quantized: BitNet b1.58 as the public `transformers` library has it, and
QuEST (arXiv 2502.05003) from its formulas. Same files as make_fixtures.py, whose helpers it uses, and for BitNet
  logits_floats.f32   of the same weights, with activations that are not quantized

  make_trained.py [FOLDER] [NAME...]      (default: tests/fixtures, all)
"""
import json
import os
import pathlib
import shutil
import sys

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # transformers compiles BitNet's small functions; plain they say the same

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitNetConfig, LlamaConfig
from transformers.integrations.bitnet import AutoBitLinear, BitLinear, WeightQuant, pack_weights

from make_fixtures import BASE, answer, randomize, write_logits

ROPE = dict(rope_parameters=dict(rope_type="default", rope_theta=500000.0))
BITNET = {**BASE, **ROPE, "vocab_size": 96, "hidden_act": "relu2"}
# name: (changes to BITNET, keys of quantization_config or None, packed)
BITNETS = {
    "bitnet-float": (dict(num_hidden_layers=1), None, False),
    "bitnet-bitlinear": (dict(), dict(linear_class="bitlinear"), True),
    "bitnet-autobitlinear": (dict(tie_word_embeddings=False),
                             dict(linear_class="autobitlinear", quantization_mode="offline"), True),
    "bitnet-unpacked": (dict(num_hidden_layers=1),
                        dict(linear_class="autobitlinear", quantization_mode="offline"), False),
    "bitnet-online": (dict(num_hidden_layers=1),
                      dict(linear_class="autobitlinear", quantization_mode="online"), False),
}
# name: (changes to BASE, keys of quantization_config). Heads of the first token that share keys and values have equal
# results, whose rotation has zeros: a sign of nothing. So each has its own.
QUESTS = {
    "quest-w1a1": (dict(hidden_size=128, intermediate_size=128, vocab_size=96, num_key_value_heads=4),
                   dict(w_bits=1, a_bits=1, hadamard_group_size=128)),
    "quest-w1a8": (dict(intermediate_size=128, vocab_size=96, num_hidden_layers=1),
                   dict(w_bits=1, a_bits=8, hadamard_group_size=64)),
}
LENGTH = 24
MARGIN = 2e-5  # of the scale: no rotated activation is nearer to zero, so that rounding in f32 cannot turn a sign


def linears(model):
    return [(name, m) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]


def write(folder, model, tensors, quantization):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = json.loads(model.config.to_json_string())
    config.pop("transformers_version", None)
    if quantization:
        config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def stored(model):
    """The tensors as bf16, in the file and in the model."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    tied = model.config.tie_word_embeddings
    return {key: value.to(torch.bfloat16) for key, value in model.state_dict().items()
            if not (tied and key == "lm_head.weight")}


# ---- BitNet


def bit_linear(module, codes, scale, quantization):
    """The library's layer for the ternary codes, and its weight_scale."""
    N, K = codes.shape
    if quantization["linear_class"] == "bitlinear":
        layer = BitLinear(K, N, bias=False, dtype=torch.float32)
        layer.weight = pack_weights(codes.clone())
        layer.weight_scale = (1 / scale).to(torch.bfloat16).float().reshape(1)
    else:
        layer = AutoBitLinear(K, N, bias=False, dtype=torch.float32)
        layer.weight.data = codes.clone()
        layer.weight_scale = scale.to(torch.bfloat16).float().reshape(1)
    return layer


def make_bitnet(folder, name):
    changes, quantization, packed = BITNETS[name]
    generator = torch.Generator().manual_seed(3000 + sorted(BITNETS).index(name))
    model = AutoModelForCausalLM.from_config(BitNetConfig(**{**BITNET, **changes}), attn_implementation="eager")
    randomize(model.float(), generator)
    tensors = stored(model)
    floats = {}  # what the codes stand for
    for key, module in linears(model) if quantization else []:
        weight = module.weight.data
        scale = weight.abs().mean()
        codes = (weight / scale).round().clamp(-1, 1)
        if quantization.get("quantization_mode") == "online":
            layer = AutoBitLinear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float32, online_quant=True)
            layer.weight.data = weight.clone()
            floats[key] = WeightQuant.apply(weight)
        else:
            layer = bit_linear(module, codes, scale, quantization)
            divides = quantization["linear_class"] == "bitlinear"
            floats[key] = codes / layer.weight_scale if divides else codes * layer.weight_scale
            tensors[f"{key}.weight"] = pack_weights(codes.clone()) if packed else codes.to(torch.bfloat16)
            tensors[f"{key}.weight_scale"] = layer.weight_scale.to(torch.bfloat16)
        model.set_submodule(key, layer)
    if quantization:
        quantization = {"quant_method": "bitnet", **quantization}
    write(folder, model, tensors, quantization)
    ids = answer(folder, name, model.eval(), LENGTH, generator, "bf16")
    for key, weight in floats.items():
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.clone()
        model.set_submodule(key, layer)
    if quantization:
        write_logits(folder / "logits_floats.f32", model, ids)


# ---- QuEST


def hadamard(size):
    """Sylvester's order, orthonormal."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while matrix.shape[0] < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)], 0)
    return matrix / size**0.5


def rotate(x, size):
    blocks = x.double().reshape(*x.shape[:-1], x.shape[-1] // size, size)
    return (blocks @ hadamard(size)).reshape(x.shape).float()


# c_b of the paper: the scale, in root mean squares, with the least error on numbers of a normal distribution.
SHARES = {1: 0.7978845587, 8: 3.8849386788}


def grid(x, bits, half_scales=False):
    """Nearest of the 2^bits centred levels, row by row; hone stores the scales of weights as halves."""
    scale = SHARES[bits] * x.pow(2).mean(-1, keepdim=True).sqrt()
    if half_scales:
        scale = scale.half().float()
    step = 2 * scale / (2**bits - 1)
    clamped = torch.maximum(torch.minimum(x, scale), -scale)
    return (clamped / step + 0.5).round() * step - step / 2


class QuestLinear(torch.nn.Module):
    nearest = 1.0  # rotated activation to zero, in root mean squares

    def __init__(self, linear, a_bits, size):
        super().__init__()
        self.weight = torch.nn.Parameter(grid(rotate(linear.weight.data, size), 1, half_scales=True))
        self.a_bits, self.size = a_bits, size

    def forward(self, x):
        x = rotate(x, self.size)
        relative = x.abs() / x.pow(2).mean(-1, keepdim=True).sqrt()
        QuestLinear.nearest = min(QuestLinear.nearest, float(relative.min()))
        return torch.nn.functional.linear(grid(x, self.a_bits), self.weight)


def make_quest(folder, name):
    changes, quantization = QUESTS[name]
    for seed in range(4000, 5000):
        generator = torch.Generator().manual_seed(seed)
        model = AutoModelForCausalLM.from_config(LlamaConfig(**{**BASE, **changes}), attn_implementation="eager").float()
        randomize(model, generator)
        tensors = stored(model)
        for key, module in linears(model):
            layer = QuestLinear(module, quantization["a_bits"], quantization["hadamard_group_size"])
            model.set_submodule(key, layer)
        write(folder, model, tensors, {"quant_method": "quest", **quantization})
        QuestLinear.nearest = 1.0
        answer(folder, name, model.eval(), LENGTH, generator, "bf16")
        if quantization["a_bits"] > 1 or QuestLinear.nearest > MARGIN:
            print(f"{name}: seed {seed}, the nearest activation to zero is {QuestLinear.nearest:.2e}")
            return
    sys.exit(f"{name}: no seed keeps activations away from zero")


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "fixtures")
    for fixture in sys.argv[2:] or [*BITNETS, *QUESTS]:
        (make_bitnet if fixture in BITNETS else make_quest)(root / fixture, fixture)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
