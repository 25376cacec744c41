// What must not be merged: q and k turned by other frequencies; a key that something else reads too. The ops stay as they
// are, so the model still means the same.
// RUN: hone opt %s --passes fuse | FileCheck %s
// CHECK-NOT: combine = "concat"
// CHECK-LABEL: func.func private @block(
// CHECK: "hone.rope"
// CHECK: "hone.rope"
// CHECK: "hone.attend"(
// RUN: sed 's/0.002>/0.001>/' %s | hone opt - --passes fuse | FileCheck %s --check-prefix=SAME
// SAME: "hone.attend_packed"
// RUN: sed -e 's/0.002>/0.001>/' -e 's/(%rq, %rk, %v)/(%rq, %rk, %rk)/' %s | hone opt - --passes fuse | FileCheck %s --check-prefix=USED
// USED-NOT: "hone.attend_packed"
// USED: "hone.attend"(
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a.q"], sym_name = "a.q", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a.k"], sym_name = "a.k", type = tensor<32x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a.v"], sym_name = "a.v", type = tensor<32x64xf32>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 0 : i64} {
    %wq = "hone.weight"() {ref = @a.q} : () -> tensor<64x64xf32>
    %wk = "hone.weight"() {ref = @a.k} : () -> tensor<32x64xf32>
    %wv = "hone.weight"() {ref = @a.v} : () -> tensor<32x64xf32>
    %q = "hone.linear"(%x, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %k = "hone.linear"(%x, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %v = "hone.linear"(%x, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32>
    %rq = "hone.rope"(%q) {heads = 4 : i64, head_dim = 16 : i64, frequencies = array<f64: 1.0, 0.5, 0.25, 0.125, 0.1, 0.05, 0.01, 0.001>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %rk = "hone.rope"(%k) {heads = 2 : i64, head_dim = 16 : i64, frequencies = array<f64: 1.0, 0.5, 0.25, 0.125, 0.1, 0.05, 0.01, 0.002>, scale = 1.0 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
    %y = "hone.attend"(%rq, %rk, %v) {heads = 4 : i64, kv_heads = 2 : i64, head_dim = 16 : i64, window = 0 : i64, scale = 0.25 : f64} : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  func.func private @logits(%x: tensor<?x64xf32>) -> tensor<?x128xf32> attributes {hone.kind = "head"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %y = "hone.linear"(%x, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    return %y : tensor<?x128xf32>
  }
  func.func @forward(%ids: tensor<?xi32>) -> tensor<?x128xf32> {
    %0 = call @tokens(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @block(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%1) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
