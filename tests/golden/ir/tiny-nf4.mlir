module attributes {hone.arena_bytes = 262144 : i64, hone.batch = 256 : i64, hone.head_batch = 16 : i64, hone.model = {add_bos = true, bos = 1 : i64, checkpoint = "stories260k", context = 512 : i64, eos = array<i64: 2>, family = "llama", vocab = 512 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["model.embed_tokens.weight"], sym_name = "embed.weight", type = tensor<512x64x!hone.q8<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.0.input_layernorm.weight"], sym_name = "layers.0.attention.norm", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.0.self_attn.o_proj.weight"], sym_name = "layers.0.attention.o", type = tensor<64x64x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.0.post_attention_layernorm.weight"], sym_name = "layers.0.ffn.norm", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.0.mlp.down_proj.weight"], sym_name = "layers.0.ffn.down", type = tensor<64x172x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.1.input_layernorm.weight"], sym_name = "layers.1.attention.norm", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.1.self_attn.o_proj.weight"], sym_name = "layers.1.attention.o", type = tensor<64x64x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.1.post_attention_layernorm.weight"], sym_name = "layers.1.ffn.norm", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.layers.1.mlp.down_proj.weight"], sym_name = "layers.1.ffn.down", type = tensor<64x172x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["model.norm.weight"], sym_name = "head.norm", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "concat", sources = ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight"], sym_name = "layers.0.attention.qkv", type = tensor<128x64x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "interleave", sources = ["model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"], sym_name = "layers.0.ffn.gate_up", type = tensor<344x64x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "concat", sources = ["model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight"], sym_name = "layers.1.attention.qkv", type = tensor<128x64x!hone.nf4<64 : i64>>} : () -> ()
  "hone.recipe"() {combine = "interleave", sources = ["model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight"], sym_name = "layers.1.ffn.gate_up", type = tensor<344x64x!hone.nf4<64 : i64>>} : () -> ()
  func.func private @embed(%arg0: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %0 = "hone.weight"() {ref = @embed.weight} : () -> tensor<512x64x!hone.q8<64 : i64>>
    %1 = "hone.embed"(%arg0, %0) {hone.arena = 131072 : i64} : (tensor<?xi32>, tensor<512x64x!hone.q8<64 : i64>>) -> tensor<?x64xf32>
    return %1 : tensor<?x64xf32>
  }
  func.func private @layers.0.attention(%arg0: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 0 : i64} {
    %0 = "hone.weight"() {ref = @layers.0.attention.norm} : () -> tensor<64xf32>
    %1 = "hone.norm"(%arg0, %0) {epsilon = 1.000000e-05 : f64, hone.arena = 196608 : i64, kind = "rms"} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %2 = "hone.weight"() {ref = @layers.0.attention.qkv} : () -> tensor<128x64x!hone.nf4<64 : i64>>
    %3 = "hone.linear"(%1, %2) {epilogue = "none", hone.arena = 0 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<128x64x!hone.nf4<64 : i64>>) -> tensor<?x128xf32>
    %4 = "hone.attend_packed"(%3) {frequencies = array<f64: 1.000000e+00, 1.000000e-01, 1.000000e-02, 1.000000e-03>, head_dim = 8 : i64, heads = 8 : i64, hone.arena = 196608 : i64, kv_heads = 4 : i64, rope_scale = 1.000000e+00 : f64, scale = 0.35355339059327379 : f64, window = 0 : i64} : (tensor<?x128xf32>) -> tensor<?x64xf32>
    %5 = "hone.weight"() {ref = @layers.0.attention.o} : () -> tensor<64x64x!hone.nf4<64 : i64>>
    %6 = "hone.quantize"(%4) {hone.arena = 0 : i64} : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %7 = "hone.linear"(%6, %5, %arg0) {epilogue = "none", hone.arena = 131072 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<64x64x!hone.nf4<64 : i64>>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %7 : tensor<?x64xf32>
  }
  func.func private @layers.0.ffn(%arg0: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %0 = "hone.weight"() {ref = @layers.0.ffn.norm} : () -> tensor<64xf32>
    %1 = "hone.norm"(%arg0, %0) {epsilon = 1.000000e-05 : f64, hone.arena = 81920 : i64, kind = "rms"} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %2 = "hone.weight"() {ref = @layers.0.ffn.gate_up} : () -> tensor<344x64x!hone.nf4<64 : i64>>
    %3 = "hone.linear"(%1, %2) {epilogue = "silu_glu", hone.arena = 0 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<344x64x!hone.nf4<64 : i64>>) -> tensor<?x172x!hone.q8<64 : i64>>
    %4 = "hone.weight"() {ref = @layers.0.ffn.down} : () -> tensor<64x172x!hone.nf4<64 : i64>>
    %5 = "hone.linear"(%3, %4, %arg0) {epilogue = "none", hone.arena = 131072 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<?x172x!hone.q8<64 : i64>>, tensor<64x172x!hone.nf4<64 : i64>>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %5 : tensor<?x64xf32>
  }
  func.func private @layers.1.attention(%arg0: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 1 : i64} {
    %0 = "hone.weight"() {ref = @layers.1.attention.norm} : () -> tensor<64xf32>
    %1 = "hone.norm"(%arg0, %0) {epsilon = 1.000000e-05 : f64, hone.arena = 196608 : i64, kind = "rms"} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %2 = "hone.weight"() {ref = @layers.1.attention.qkv} : () -> tensor<128x64x!hone.nf4<64 : i64>>
    %3 = "hone.linear"(%1, %2) {epilogue = "none", hone.arena = 0 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<128x64x!hone.nf4<64 : i64>>) -> tensor<?x128xf32>
    %4 = "hone.attend_packed"(%3) {frequencies = array<f64: 1.000000e+00, 1.000000e-01, 1.000000e-02, 1.000000e-03>, head_dim = 8 : i64, heads = 8 : i64, hone.arena = 196608 : i64, kv_heads = 4 : i64, rope_scale = 1.000000e+00 : f64, scale = 0.35355339059327379 : f64, window = 0 : i64} : (tensor<?x128xf32>) -> tensor<?x64xf32>
    %5 = "hone.weight"() {ref = @layers.1.attention.o} : () -> tensor<64x64x!hone.nf4<64 : i64>>
    %6 = "hone.quantize"(%4) {hone.arena = 0 : i64} : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %7 = "hone.linear"(%6, %5, %arg0) {epilogue = "none", hone.arena = 131072 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<64x64x!hone.nf4<64 : i64>>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %7 : tensor<?x64xf32>
  }
  func.func private @layers.1.ffn(%arg0: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 1 : i64} {
    %0 = "hone.weight"() {ref = @layers.1.ffn.norm} : () -> tensor<64xf32>
    %1 = "hone.norm"(%arg0, %0) {epsilon = 1.000000e-05 : f64, hone.arena = 81920 : i64, kind = "rms"} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %2 = "hone.weight"() {ref = @layers.1.ffn.gate_up} : () -> tensor<344x64x!hone.nf4<64 : i64>>
    %3 = "hone.linear"(%1, %2) {epilogue = "silu_glu", hone.arena = 0 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<344x64x!hone.nf4<64 : i64>>) -> tensor<?x172x!hone.q8<64 : i64>>
    %4 = "hone.weight"() {ref = @layers.1.ffn.down} : () -> tensor<64x172x!hone.nf4<64 : i64>>
    %5 = "hone.linear"(%3, %4, %arg0) {epilogue = "none", hone.arena = 131072 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<?x172x!hone.q8<64 : i64>>, tensor<64x172x!hone.nf4<64 : i64>>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %5 : tensor<?x64xf32>
  }
  func.func private @head(%arg0: tensor<?x64xf32>) -> tensor<?x512xf32> attributes {hone.kind = "head"} {
    %0 = "hone.weight"() {ref = @head.norm} : () -> tensor<64xf32>
    %1 = "hone.norm"(%arg0, %0) {epsilon = 1.000000e-05 : f64, hone.arena = 0 : i64, kind = "rms"} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
    %2 = "hone.weight"() {ref = @embed.weight} : () -> tensor<512x64x!hone.q8<64 : i64>>
    %3 = "hone.linear"(%1, %2) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64 : i64>>, tensor<512x64x!hone.q8<64 : i64>>) -> tensor<?x512xf32>
    return %3 : tensor<?x512xf32>
  }
  func.func @forward(%arg0: tensor<?xi32>) -> tensor<?x512xf32> {
    %0 = call @embed(%arg0) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @layers.0.attention(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @layers.0.ffn(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %3 = call @layers.1.attention(%2) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %4 = call @layers.1.ffn(%3) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %5 = call @head(%4) : (tensor<?x64xf32>) -> tensor<?x512xf32>
    return %5 : tensor<?x512xf32>
  }
}
