// q, k and v become one linear; rope, cache and attention one op. The linear turns and caches its heads, unless tiles of
// 16 rows cut them.
// RUN: hone opt %s --passes fuse | FileCheck %s
// CHECK: combine = "concat", sources = ["q", "k", "v"], sym_name = "a.qkv", type = tensor<128x64xf32>
// CHECK-LABEL: func.func private @block(
// CHECK: %[[QKV:.*]] = "hone.linear"(%arg0, %{{.*}}epilogue = "rope_kv"{{.*}}-> tensor<?x128xf32>
// CHECK-NEXT: "hone.attend_packed"(%[[QKV]]) {frequencies = array<f64: 1.0
// CHECK-NOT: "hone.rope"
// RUN: sed -e 's/heads = 4/heads = 8/' -e 's/heads = 2/heads = 4/' -e 's/head_dim = 16/head_dim = 8/' -e 's/, 0.1, 0.05, 0.01, 0.001>/>/' %s | hone opt - --passes fuse | FileCheck %s --check-prefix=CUT
// CUT: %[[QKV:.*]] = "hone.linear"(%arg0, %{{.*}}epilogue = "none"{{.*}}-> tensor<?x128xf32>
// CUT-NEXT: "hone.attend_packed"(%[[QKV]])
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["q"], sym_name = "a.q", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["k"], sym_name = "a.k", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["v"], sym_name = "a.v", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["qb"], sym_name = "a.q_bias", type = tensor<64xf32>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 0 : i64} {
    %wq = "hone.weight"() {ref = @a.q} : () -> tensor<64x64xf32>
    %wk = "hone.weight"() {ref = @a.k} : () -> tensor<32x64xf32>
    %wv = "hone.weight"() {ref = @a.v} : () -> tensor<32x64xf32>
    %bq = "hone.weight"() {ref = @a.q_bias} : () -> tensor<64xf32>
    %q = "hone.linear"(%x, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %k = "hone.linear"(%x, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %v = "hone.linear"(%x, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %rq = "hone.rope"(%q) {heads = 4 : i64, head_dim = 16 : i64, frequencies = array<f64: 1.0, 0.5, 0.25, 0.125, 0.1, 0.05, 0.01, 0.001>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %rk = "hone.rope"(%k) {heads = 2 : i64, head_dim = 16 : i64, frequencies = array<f64: 1.0, 0.5, 0.25, 0.125, 0.1, 0.05, 0.01, 0.001>, scale = 1.0 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
    %y = "hone.attend"(%rq, %rk, %v) {heads = 4 : i64, kv_heads = 2 : i64, head_dim = 16 : i64, window = 0 : i64, scale = 0.25 : f64} : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  func.func private @logits(%x: tensor<?x64xf32>) -> tensor<?x128xf32> attributes {hone.kind = "head"} {
    %g = "hone.weight"() {ref = @g} : () -> tensor<64xf32>
    %h = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %y = "hone.linear"(%h, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    return %y : tensor<?x128xf32>
  }
  func.func @forward(%ids: tensor<?xi32>) -> tensor<?x128xf32> {
    %0 = call @tokens(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @block(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%1) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
