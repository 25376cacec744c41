# Models that were trained quantized (BitNet, QuEST): what compiles to what, and what must not be asked for. Their logits are
# test_fixtures' business.
. "$(dirname "$0")/common.sh"
fixtures=$src/tests/fixtures

expect_exit 0 "$hone" compile "$fixtures/quest-w1a1" -o signs -q
expect_exit 0 "$hone" inspect signs --json
out_has '"layers.0.attention.qkv"'
out_has '"rotate": 128'
out_has "norm.b1 K=128"
out_has "quantize.b1 K=128 rotate=128"
out_has ".b1<128>.b1 N=256 K=128"
expect_exit 0 "$hone" compile "$fixtures/quest-w1a1" -o again --acts b1 --threads 3 -q
expect_exit 0 ./signs --ids --prompt "1 5 9 7" --tokens 8 --temp 0
cp out first
expect_exit 0 ./again --ids --prompt "1 5 9 7" --tokens 8 --temp 0
cmp -s first out || bad "--acts b1 changes what a model with such activations says"
expect_exit 0 "$hone" compile "$fixtures/quest-w1a1" -o planes --weights bcq2 -q
expect_exit 1 "$hone" compile "$fixtures/quest-w1a1" -o x --weights nf4
err_has "x is b1, which goes with weights of binary planes (b1, bcq2, ...)"
expect_exit 1 "$hone" compile "$fixtures/quest-w1a8" -o x --weights bf16
err_has "x is q8, which goes with quantized weights; weight @layers.0.attention.q is bf16"
for acts in f32 q8; do
  expect_exit 1 "$hone" compile "$fixtures/quest-w1a1" -o x --acts $acts
  err_has "acts=$acts: the model was trained with b1 activations"
done
expect_exit 1 "$hone" compile "$fixtures/quest-w1a8" -o x --acts b1
err_has "acts=b1: the model was trained with q8 activations"
expect_exit 1 "$hone" compile "$fixtures/quest-w1a8" -o x --rotate
err_has "nothing can be rotated"
expect_exit 1 "$hone" compile "$fixtures/quest-w1a8" -o x --emit gguf --weights q8:32
err_has "is rotated: other programs do not rotate what enters it"
expect_exit 0 "$hone" compile "$fixtures/quest-w1a8" -o nf4 --weights nf4 -q
expect_exit 0 "$hone" inspect nf4
out_has "rotate=64"

# Neither is made of a model that was not trained so.
for weights in f32 b1 q8; do
  expect_exit 1 "$hone" compile "$story_model" -o x --weights $weights --acts b1
  err_has "acts=b1: this model was not trained with activations of one bit"
done
expect_exit 1 "$hone" compile "$fixtures/bitnet-bitlinear" -o x --acts b1
err_has "acts=b1: this model was not trained with activations of one bit"

# broken NAME JSON-EDIT TEXT...: the fixture with its configuration changed is refused with each text
broken() {
  rm -rf copy && cp -r "$fixtures/$1" copy && chmod -R u+w copy
  sed -i "$2" copy/config.json
  expect_exit 1 "$hone" compile copy -o x
  shift 2
  for text in "$@"; do err_has "$text"; done
}
broken quest-w1a1 's/"w_bits": 1/"w_bits": 2/' "key 'quantization_config.w_bits': 2 is not supported"
broken quest-w1a1 's/"a_bits": 1/"a_bits": 4/' "key 'quantization_config.a_bits': 4 is not supported"
broken quest-w1a1 's/"hadamard_group_size": 128/"hadamard_group_size": 256/' "key 'quantization_config.hadamard_group_size': 256"
broken quest-w1a8 's/"hadamard_group_size": 64/"hadamard_group_size": 128/' \
  "model.layers.0.mlp.gate_proj.weight" "64 columns, which hadamard_group_size (128) does not divide"
broken bitnet-online 's/"relu2"/"relu"/' "key 'hidden_act': 'relu' is not supported"

# Ternary weights as the file has them, floats or codes.
for name in bitnet-bitlinear bitnet-unpacked bitnet-online; do
  expect_exit 0 "$hone" compile "$fixtures/$name" -o $name -q
  expect_exit 0 "$hone" inspect $name
  out_has "ternary<128>"
  out_has "layers.0.ffn.sub_norm"
  out_has "glu=relu2"
done
nothing_left
finish
