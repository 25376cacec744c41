#!/usr/bin/env python3
"""Writes tests/fixtures: tiny random-weight checkpoints of every family variant, with the logits of the public
`transformers` library as the expected answer. Needs torch, transformers and bitsandbytes; running the tests does not.

  make_fixtures.py [FOLDER] [NAME...]      (default: tests/fixtures, all)

Each fixture holds what Hugging Face would hold (config.json, generation_config.json, safetensors) and
  expected.json   {"ids": prompt, "rows": T, "vocab": V, "range": max - min of the logits, "dtype": of the weights}
  logits.f32      little-endian f32 (T, V): logits of every position, computed in f32 from the weights as stored
  dequantized.f32 of double-quantized ones: the weights that bitsandbytes makes of the linears in DEQUANTIZED
The same versions (printed at the end) and seed give the same bytes.
"""
import json
import pathlib
import shutil
import sys

import bitsandbytes
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

BASE = dict(hidden_size=64, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=128, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
            tie_word_embeddings=True)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)

# name: (config class, changes to BASE, stored dtype, prompt length)
FIXTURES = {
    "llama-mha-untied-f32": (LlamaConfig, dict(hidden_size=48, intermediate_size=80, num_key_value_heads=4, vocab_size=96,
                                               tie_word_embeddings=False), torch.float32, 24),
    "llama-gqa-tied-bf16": (LlamaConfig, dict(hidden_size=96, num_attention_heads=6, eos_token_id=[2, 5, 7]),
                            torch.bfloat16, 32),
    "llama-bias": (LlamaConfig, dict(hidden_size=48, intermediate_size=72, attention_bias=True, mlp_bias=True),
                   torch.float32, 24),
    # Positions beyond the original context, and wavelengths in all three bands of the scaling.
    "llama-rope-llama3": (LlamaConfig, dict(rope_parameters=LLAMA3), torch.bfloat16, 72),
    "llama-rope-linear": (LlamaConfig, dict(rope_parameters=dict(rope_type="linear", rope_theta=50000.0, factor=4.0)),
                          torch.bfloat16, 40),
    "llama-headdim": (LlamaConfig, dict(head_dim=24, intermediate_size=100, vocab_size=101), torch.bfloat16, 24),
    "llama-gelu": (LlamaConfig, dict(hidden_act="gelu_pytorch_tanh"), torch.bfloat16, 16),
    "llama-sharded": (LlamaConfig, dict(tie_word_embeddings=False), torch.bfloat16, 24),
    "llama-f16": (LlamaConfig, dict(num_key_value_heads=1), torch.float16, 24),
    "mistral-window": (MistralConfig, dict(sliding_window=16), torch.bfloat16, 48),
}
# Quantized by bitsandbytes; the expected logits are those of the weights as bitsandbytes dequantizes them. Blocks of 64
# cross the ends of rows of 112.
QUANTIZED = {
    "llama-bnb-nf4": (dict(vocab_size=96), "nf4", True, torch.uint8),
    "llama-bnb-fp4": (dict(vocab_size=96, hidden_size=32, num_attention_heads=2), "fp4", False, torch.bfloat16),
}
DEQUANTIZED = [f"model.layers.0.{name}_proj" for name in
               ("self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate", "mlp.up")]
VERSION_4 = {"llama-rope-linear", "llama-sharded", "llama-f16"}  # config.json as transformers 4 wrote it


def randomize(model, generator):
    """Weights that keep activations near one, so that every part of the network matters to the logits."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                p.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                p.copy_(0.35 * noise)
            else:
                p.copy_(noise * 1.2 / p.shape[1] ** 0.5)


def as_version_4(config):
    """The older spelling of the same configuration."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config["torch_dtype"] = config.pop("dtype")
    return config


def make(folder, name):
    kind, changes, dtype, length = FIXTURES[name]
    generator = torch.Generator().manual_seed(1000 + sorted(FIXTURES).index(name))
    model = AutoModelForCausalLM.from_config(kind(**{**BASE, **changes}), attn_implementation="eager")
    randomize(model, generator)
    shutil.rmtree(folder, ignore_errors=True)
    shard = {"max_shard_size": "40KB"} if name == "llama-sharded" else {}
    model.to(dtype).save_pretrained(folder, **shard)
    for file in folder.iterdir():
        file.chmod(0o644)
    for file in ("config.json", "generation_config.json"):
        config = json.loads((folder / file).read_text())
        config.pop("transformers_version", None)
        if file == "config.json" and name in VERSION_4:
            config = as_version_4(config)
        (folder / file).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").float().eval()
    answer(folder, name, model, length, generator, str(dtype)[6:])


def write_logits(file, model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].contiguous()
    logits.numpy().astype("<f4").tofile(file)
    return logits


def answer(folder, name, model, length, generator, dtype):
    """Writes expected.json and logits.f32; returns the prompt."""
    vocab = model.config.vocab_size
    ids = [1] + torch.randint(3, vocab, (length - 1,), generator=generator).tolist()
    logits = write_logits(folder / "logits.f32", model, ids)
    spread = float(logits.max() - logits.min())
    expected = {"ids": ids, "rows": length, "vocab": vocab, "range": round(spread, 4), "dtype": dtype}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes, logit range {spread:.3f}")
    return ids


def make_quantized(folder, name):
    """What save_pretrained writes for a model loaded with a BitsAndBytesConfig, without a GPU."""
    changes, kind, nested, storage = QUANTIZED[name]
    generator = torch.Generator().manual_seed(2000 + sorted(QUANTIZED).index(name))
    model = AutoModelForCausalLM.from_config(LlamaConfig(**{**BASE, **changes}), attn_implementation="eager").float()
    randomize(model, generator)
    tensors = {key: value.clone() for key, value in model.state_dict().items() if key != "lm_head.weight"}
    for key, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or key == "lm_head":
            continue
        parameter = bitsandbytes.nn.Params4bit(module.weight.data.clone(), requires_grad=False, quant_type=kind,
                                               compress_statistics=nested, quant_storage=storage).to("cpu")
        state = parameter.quant_state
        tensors[f"{key}.weight"] = parameter.data
        for part, value in state.as_dict(packed=True).items():
            tensors[f"{key}.weight.{part}"] = value.contiguous()
        # As one long row: the CPU kernel of bitsandbytes 0.50 reads wrong scales where blocks cross the ends of rows
        # (its quantizer and the GPU kernels count blocks through the whole tensor).
        shape, state.shape = state.shape, torch.Size([module.weight.numel()])
        module.weight.data = bitsandbytes.functional.dequantize_4bit(parameter.data, state).float().reshape(shape)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = json.loads(model.config.to_json_string())
    config.pop("transformers_version", None)
    config["quantization_config"] = {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": kind,
        "bnb_4bit_use_double_quant": nested, "bnb_4bit_compute_dtype": "float32",
        "bnb_4bit_quant_storage": str(storage)[6:]}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if nested:
        weights = [model.get_submodule(key).weight.data.flatten() for key in DEQUANTIZED]
        torch.cat(weights).numpy().astype("<f4").tofile(folder / "dequantized.f32")
    answer(folder, name, model.eval(), 24, generator, kind)


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "fixtures")
    for fixture in sys.argv[2:] or [*FIXTURES, *QUANTIZED]:
        (make_quantized if fixture in QUANTIZED else make)(root / fixture, fixture)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"bitsandbytes {bitsandbytes.__version__}")


if __name__ == "__main__":
    main()
