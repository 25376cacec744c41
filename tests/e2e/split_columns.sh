# Programs say the same however their linears are built: with the heads of q, k and v turned by their linear or by a launch
# of its own, with columns split among units or not, on any number of threads, on every level this machine has. The model is
# made up: a feed-forward network wide enough to be split, heads of 16.
. "$(dirname "$0")/common.sh"
width=64 ffn=2304 vocab=512
mkdir model
cp "$story_model"/tokenizer* model
cat >model/config.json <<END
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $width, "intermediate_size": $ffn,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": $vocab,
 "max_position_embeddings": 128, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "rope_scaling": null, "hidden_act": "silu",
 "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false, "bos_token_id": 1, "eos_token_id": 2,
 "torch_dtype": "bfloat16"}
END
header='' at=0
tensor() {  # NAME SHAPE ELEMENTS
  header="$header${header:+,}\"$1\":{\"dtype\":\"BF16\",\"shape\":[$2],\"data_offsets\":[$at,$((at + 2 * $3))]}"
  at=$((at + 2 * $3))
}
matrix() { tensor "$1" "$2,$3" $(($2 * $3)); }
matrix model.embed_tokens.weight $vocab $width
tensor model.norm.weight $width $width
for n in 0 1; do
  layer=model.layers.$n
  tensor $layer.input_layernorm.weight $width $width
  tensor $layer.post_attention_layernorm.weight $width $width
  matrix $layer.self_attn.q_proj.weight $width $width
  matrix $layer.self_attn.k_proj.weight $((width / 2)) $width
  matrix $layer.self_attn.v_proj.weight $((width / 2)) $width
  matrix $layer.self_attn.o_proj.weight $width $width
  matrix $layer.mlp.gate_proj.weight $ffn $width
  matrix $layer.mlp.up_proj.weight $ffn $width
  matrix $layer.mlp.down_proj.weight $width $ffn
done
header="{$header}"
bytes=${#header}
{
  printf '%b' "\\x$(printf %02x $((bytes & 255)))\\x$(printf %02x $((bytes >> 8)))\\0\\0\\0\\0\\0\\0"
  printf %s "$header"
  # bfloat16: signs, exponents of 1/32 to 1/2, any fraction but the last bits zero (awk writes no NUL)
  LC_ALL=C awk -v count=$((at / 2)) 'BEGIN {
    state = 1
    for (i = 0; i < count; i++) {
      state = (state * 16807) % 2147483647
      printf "%c%c", 1 + state % 127, 61 + int(state / 128) % 2 + (int(state / 512) % 2) * 128
    }
  }'
} >model/model.safetensors
same "bytes of the model" $((8 + bytes + at)) "$(wc -c <model/model.safetensors)"

expect_exit 0 "$hone" compile model -o plain --weights nf4 --kv q8
expect_exit 0 "$hone" compile model --weights nf4 --kv q8 --to dataflow --dump dataflow:ir
same "heads turned by their linear" 2 "$(grep -c 'epilogue = "rope_kv"' ir/5-dataflow.mlir)"
sed 's/epilogue = "rope_kv"/epilogue = "none"/' ir/5-dataflow.mlir >apart.mlir
sed -e '/tensor<?x'$ffn'x.*tensor<'$width'x'$ffn'x/s/hone.dataflow[.a-z0-9]* = "[^"]*"/hone.dataflow = "gemv split=3 < 2, flat split=2 tokens=4 < 9, gemm"/' \
  ir/5-dataflow.mlir >split.mlir
same "split linears" 2 "$(grep -c 'gemv split=3' split.mlir)"
for form in apart split; do expect_exit 0 "$hone" compile $form.mlir -o $form --kv q8; done
"$hone" inspect apart | grep -q rope_kv || bad "no launch of its own turns heads"
"$hone" inspect split --dataflow >shown || bad "inspect"
same "split kernels shown" yes "$(grep -q 'gemv split=3' shown && echo yes)"

say() {  # PROGRAM THREADS LEVEL: a prompt of one token, so decode alone; then one of many, in two steps
  ./$1 --ids --prompt 1 --tokens 40 --temp 0.9 --threads $2 --isa $3 2>/dev/null
  ./$1 --ids --prompt "$(seq -s' ' 3 7 52)" --tokens 40 --temp 0.9 --threads $2 --isa $3 2>/dev/null
  ./$1 --ids --prompt "$(seq -s' ' 3 7 600)" --tokens 20 --temp 0.9 --threads $2 --isa $3 2>/dev/null
}
for isa in avx2 avx512 amx; do
  if ! ./plain --isa $isa --info >/dev/null 2>&1; then
    echo "not run: $isa kernels (this CPU lacks them)"
    continue
  fi
  said=$(say plain 1 $isa)
  same "words said" yes "$([ "$(echo "$said" | wc -w)" -gt 50 ] && echo yes)"
  for threads in 1 2 5; do
    for form in plain apart split; do same "$form, $threads threads, $isa" "$said" "$(say $form $threads $isa)"; done
  done
done

sed 's/split=3/split=4/' split.mlir >deep.mlir
expect_exit 1 "$hone" compile deep.mlir -o deep
err_has "split = 4 of $ffn columns"
finish
