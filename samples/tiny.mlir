// A Llama, written by hand in hone IR: the first two layers of samples/stories260k (width 64, 8 heads of 8 that share
// 4 key/value heads, ffn 172, 512 tokens). docs/ir.md describes the dialect; this file teaches it from top to bottom.
//
//   hone compile samples/tiny.mlir -o tiny        hone opt samples/tiny.mlir --passes canonical,fuse
//   mlir-opt --irdl-file=ir/hone.irdl.mlir samples/tiny.mlir
//
// A model is one module. `hone.model` says what the runtime must know besides the weights; `checkpoint` is the folder
// that holds weights and tokenizer, relative to this file. bos = -1 would mean "none"; eos lists the ids that end text.
module attributes {hone.model = {family = "llama", vocab = 512, width = 64, context = 512, bos = 1, add_bos = true,
                                 eos = array<i64: 2>, checkpoint = "stories260k"}} {

  // ---- Recipes: how each weight comes to be. No weight bytes are ever in the IR. `sources` name tensors of the
  // checkpoint, `combine` says how several become one (single, concat, interleave), `type` is what is stored: a matrix
  // is (outputs, inputs), a vector has one dimension. To store a weight in 4 bits write its type as
  // tensor<172x64x!hone.nf4<64>> here and where hone.weight uses it; `hone opt --passes quantize{weights=nf4}` does.
  // Recipes and functions share one name space: a recipe is named after its block, then the weight.
  "hone.recipe"() {sym_name = "embed.weight", sources = ["model.embed_tokens.weight"], combine = "single",
                   type = tensor<512x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.attention.norm", sources = ["model.layers.0.input_layernorm.weight"],
                   combine = "single", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.attention.q", sources = ["model.layers.0.self_attn.q_proj.weight"],
                   combine = "single", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.attention.k", sources = ["model.layers.0.self_attn.k_proj.weight"],
                   combine = "single", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.attention.v", sources = ["model.layers.0.self_attn.v_proj.weight"],
                   combine = "single", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.attention.o", sources = ["model.layers.0.self_attn.o_proj.weight"],
                   combine = "single", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.ffn.norm", sources = ["model.layers.0.post_attention_layernorm.weight"],
                   combine = "single", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.ffn.gate", sources = ["model.layers.0.mlp.gate_proj.weight"],
                   combine = "single", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.ffn.up", sources = ["model.layers.0.mlp.up_proj.weight"],
                   combine = "single", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.0.ffn.down", sources = ["model.layers.0.mlp.down_proj.weight"],
                   combine = "single", type = tensor<64x172xf32>} : () -> ()

  "hone.recipe"() {sym_name = "layers.1.attention.norm", sources = ["model.layers.1.input_layernorm.weight"],
                   combine = "single", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.attention.q", sources = ["model.layers.1.self_attn.q_proj.weight"],
                   combine = "single", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.attention.k", sources = ["model.layers.1.self_attn.k_proj.weight"],
                   combine = "single", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.attention.v", sources = ["model.layers.1.self_attn.v_proj.weight"],
                   combine = "single", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.attention.o", sources = ["model.layers.1.self_attn.o_proj.weight"],
                   combine = "single", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.ffn.norm", sources = ["model.layers.1.post_attention_layernorm.weight"],
                   combine = "single", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.ffn.gate", sources = ["model.layers.1.mlp.gate_proj.weight"],
                   combine = "single", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.ffn.up", sources = ["model.layers.1.mlp.up_proj.weight"],
                   combine = "single", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {sym_name = "layers.1.ffn.down", sources = ["model.layers.1.mlp.down_proj.weight"],
                   combine = "single", type = tensor<64x172xf32>} : () -> ()

  "hone.recipe"() {sym_name = "head.norm", sources = ["model.norm.weight"],
                   combine = "single", type = tensor<64xf32>} : () -> ()

  // ---- Blocks: functions of one argument and one result, each with a kind. A block is what passes replace, prune and
  // report, so its residual add is inside. `?` is the number of tokens of a step, unknown until run time.
  func.func private @embed(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    // hone.weight makes a recipe's tensor a value; its type repeats the recipe's.
    %weight = "hone.weight"() {ref = @embed.weight} : () -> tensor<512x64xf32>
    %x = "hone.embed"(%ids, %weight) : (tensor<?xi32>, tensor<512x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }

  // Kinds attention and ffn also have a layer number; it selects the KV cache that hone.attend reads and writes.
  func.func private @layers.0.attention(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
      attributes {hone.kind = "attention", hone.layer = 0} {
    %gain = "hone.weight"() {ref = @layers.0.attention.norm} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %gain) {kind = "rms", epsilon = 1.0e-5}
        : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>

    // x W^T, then + bias, then a gated activation, then + residual: bias and residual are optional operands, which is
    // what the four numbers say: x 1, weight 1, bias 0, residual 0. The epilogue (none, silu_glu, gelu_tanh_glu) is the
    // activation; passes write it when they fuse.
    %wq = "hone.weight"() {ref = @layers.0.attention.q} : () -> tensor<64x64xf32>
    %q = "hone.linear"(%n, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %wk = "hone.weight"() {ref = @layers.0.attention.k} : () -> tensor<32x64xf32>
    %k = "hone.linear"(%n, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %wv = "hone.weight"() {ref = @layers.0.attention.v} : () -> tensor<32x64xf32>
    %v = "hone.linear"(%n, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>

    // Rotary positions: pair i of a head turns by position * frequencies[i], theta^(-2i/head_dim) for theta = 10000.
    %qr = "hone.rope"(%q) {heads = 8, head_dim = 8, frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>,
                             scale = 1.0} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %kr = "hone.rope"(%k) {heads = 4, head_dim = 8, frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>,
                             scale = 1.0} : (tensor<?x32xf32>) -> tensor<?x32xf32>

    // Appends k and v to the layer's cache and attends to all of it, causally. scale is 1/sqrt(head_dim); window = 0:
    // no sliding window. Not pure: the cache is its effect, so it is never merged or dropped.
    %a = "hone.attend"(%qr, %kr, %v) {heads = 8, kv_heads = 4, head_dim = 8, window = 0, scale = 0.35355339059327379}
        : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
    %wo = "hone.weight"() {ref = @layers.0.attention.o} : () -> tensor<64x64xf32>
    %o = "hone.linear"(%a, %wo) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %r = "hone.add"(%x, %o) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }

  func.func private @layers.0.ffn(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
      attributes {hone.kind = "ffn", hone.layer = 0} {
    %gain = "hone.weight"() {ref = @layers.0.ffn.norm} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %gain) {kind = "rms", epsilon = 1.0e-5}
        : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %wgate = "hone.weight"() {ref = @layers.0.ffn.gate} : () -> tensor<172x64xf32>
    %gate = "hone.linear"(%n, %wgate) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    %wup = "hone.weight"() {ref = @layers.0.ffn.up} : () -> tensor<172x64xf32>
    %up = "hone.linear"(%n, %wup) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    // silu(gate) * up
    %g = "hone.glu"(%gate, %up) {activation = "silu"} : (tensor<?x172xf32>, tensor<?x172xf32>) -> tensor<?x172xf32>
    %wdown = "hone.weight"() {ref = @layers.0.ffn.down} : () -> tensor<64x172xf32>
    %d = "hone.linear"(%g, %wdown) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x172xf32>, tensor<64x172xf32>) -> tensor<?x64xf32>
    %r = "hone.add"(%x, %d) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }

  func.func private @layers.1.attention(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
      attributes {hone.kind = "attention", hone.layer = 1} {
    %gain = "hone.weight"() {ref = @layers.1.attention.norm} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %gain) {kind = "rms", epsilon = 1.0e-5}
        : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %wq = "hone.weight"() {ref = @layers.1.attention.q} : () -> tensor<64x64xf32>
    %q = "hone.linear"(%n, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %wk = "hone.weight"() {ref = @layers.1.attention.k} : () -> tensor<32x64xf32>
    %k = "hone.linear"(%n, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %wv = "hone.weight"() {ref = @layers.1.attention.v} : () -> tensor<32x64xf32>
    %v = "hone.linear"(%n, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %qr = "hone.rope"(%q) {heads = 8, head_dim = 8, frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>,
                             scale = 1.0} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %kr = "hone.rope"(%k) {heads = 4, head_dim = 8, frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>,
                             scale = 1.0} : (tensor<?x32xf32>) -> tensor<?x32xf32>
    %a = "hone.attend"(%qr, %kr, %v) {heads = 8, kv_heads = 4, head_dim = 8, window = 0, scale = 0.35355339059327379}
        : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
    %wo = "hone.weight"() {ref = @layers.1.attention.o} : () -> tensor<64x64xf32>
    %o = "hone.linear"(%a, %wo) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %r = "hone.add"(%x, %o) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }

  func.func private @layers.1.ffn(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
      attributes {hone.kind = "ffn", hone.layer = 1} {
    %gain = "hone.weight"() {ref = @layers.1.ffn.norm} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %gain) {kind = "rms", epsilon = 1.0e-5}
        : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %wgate = "hone.weight"() {ref = @layers.1.ffn.gate} : () -> tensor<172x64xf32>
    %gate = "hone.linear"(%n, %wgate) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    %wup = "hone.weight"() {ref = @layers.1.ffn.up} : () -> tensor<172x64xf32>
    %up = "hone.linear"(%n, %wup) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    %g = "hone.glu"(%gate, %up) {activation = "silu"} : (tensor<?x172xf32>, tensor<?x172xf32>) -> tensor<?x172xf32>
    %wdown = "hone.weight"() {ref = @layers.1.ffn.down} : () -> tensor<64x172xf32>
    %d = "hone.linear"(%g, %wdown) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x172xf32>, tensor<64x172xf32>) -> tensor<?x64xf32>
    %r = "hone.add"(%x, %d) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }

  // The head makes a row of logits for each token. This model ties it to the embedding: the same recipe, used twice, is
  // stored once.
  func.func private @head(%x: tensor<?x64xf32>) -> tensor<?x512xf32> attributes {hone.kind = "head"} {
    %gain = "hone.weight"() {ref = @head.norm} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %gain) {kind = "rms", epsilon = 1.0e-5}
        : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %weight = "hone.weight"() {ref = @embed.weight} : () -> tensor<512x64xf32>
    %logits = "hone.linear"(%n, %weight) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>}
        : (tensor<?x64xf32>, tensor<512x64xf32>) -> tensor<?x512xf32>
    return %logits : tensor<?x512xf32>
  }

  // ---- The model: a chain of calls, from token ids to logits. To replace a block, call another function.
  func.func @forward(%ids: tensor<?xi32>) -> tensor<?x512xf32> {
    %0 = call @embed(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @layers.0.attention(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @layers.0.ffn(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %3 = call @layers.1.attention(%2) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %4 = call @layers.1.ffn(%3) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %5 = call @head(%4) : (tensor<?x64xf32>) -> tensor<?x512xf32>
    return %5 : tensor<?x512xf32>
  }
}
