// Attention on heads of whole groups writes q8 rows itself; on smaller heads, or if the rows are rotated, they are quantized
// after it. What it replaces is gone: attention writes the cache, once.
// RUN: hone opt %s --passes fuse | FileCheck %s
// CHECK-LABEL: func.func private @whole(
// CHECK: %[[Y:.*]] = "hone.attend_packed"{{.*}} -> tensor<?x64x!hone.q8<64 : i64>>
// CHECK-NOT: hone.attend_packed
// CHECK-NOT: hone.quantize
// CHECK: "hone.linear"(%[[Y]],
// CHECK-LABEL: func.func private @small(
// CHECK: %[[S:.*]] = "hone.attend_packed"{{.*}} -> tensor<?x64xf32>
// CHECK: "hone.quantize"(%[[S]])
// CHECK-LABEL: func.func private @rotated(
// CHECK: %[[R:.*]] = "hone.attend_packed"{{.*}} -> tensor<?x64xf32>
// CHECK: "hone.quantize"(%[[R]]) {rotate
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["whole.q"], sym_name = "whole.q", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["whole.k"], sym_name = "whole.k", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["whole.v"], sym_name = "whole.v", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["whole.o"], sym_name = "whole.o", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["small.q"], sym_name = "small.q", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["small.k"], sym_name = "small.k", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["small.v"], sym_name = "small.v", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["small.o"], sym_name = "small.o", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["rotated.q"], sym_name = "rotated.q", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["rotated.k"], sym_name = "rotated.k", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["rotated.v"], sym_name = "rotated.v", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", rotate = 64 : i64, sources = ["rotated.o"], sym_name = "rotated.o", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @whole(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 0 : i64} {
    %xq = "hone.quantize"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %wq = "hone.weight"() {ref = @whole.q} : () -> tensor<64x64x!hone.q8<64>>
    %wk = "hone.weight"() {ref = @whole.k} : () -> tensor<64x64x!hone.q8<64>>
    %wv = "hone.weight"() {ref = @whole.v} : () -> tensor<64x64x!hone.q8<64>>
    %wo = "hone.weight"() {ref = @whole.o} : () -> tensor<64x64x!hone.q8<64>>
    %q = "hone.linear"(%xq, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %k = "hone.linear"(%xq, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %v = "hone.linear"(%xq, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %rq = "hone.rope"(%q) {heads = 1 : i64, head_dim = 64 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %rk = "hone.rope"(%k) {heads = 1 : i64, head_dim = 64 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %y = "hone.attend"(%rq, %rk, %v) {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, window = 0 : i64, scale = 0.125 : f64} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    %yq = "hone.quantize"(%y) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %o = "hone.linear"(%yq, %wo) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    return %o : tensor<?x64xf32>
  }
  func.func private @small(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 1 : i64} {
    %xq = "hone.quantize"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %wq = "hone.weight"() {ref = @small.q} : () -> tensor<64x64x!hone.q8<64>>
    %wk = "hone.weight"() {ref = @small.k} : () -> tensor<64x64x!hone.q8<64>>
    %wv = "hone.weight"() {ref = @small.v} : () -> tensor<64x64x!hone.q8<64>>
    %wo = "hone.weight"() {ref = @small.o} : () -> tensor<64x64x!hone.q8<64>>
    %q = "hone.linear"(%xq, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %k = "hone.linear"(%xq, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %v = "hone.linear"(%xq, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %rq = "hone.rope"(%q) {heads = 2 : i64, head_dim = 32 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %rk = "hone.rope"(%k) {heads = 2 : i64, head_dim = 32 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %y = "hone.attend"(%rq, %rk, %v) {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, window = 0 : i64, scale = 0.125 : f64} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    %yq = "hone.quantize"(%y) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %o = "hone.linear"(%yq, %wo) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    return %o : tensor<?x64xf32>
  }
  func.func private @rotated(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "attention", hone.layer = 2 : i64} {
    %xq = "hone.quantize"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %wq = "hone.weight"() {ref = @rotated.q} : () -> tensor<64x64x!hone.q8<64>>
    %wk = "hone.weight"() {ref = @rotated.k} : () -> tensor<64x64x!hone.q8<64>>
    %wv = "hone.weight"() {ref = @rotated.v} : () -> tensor<64x64x!hone.q8<64>>
    %wo = "hone.weight"() {ref = @rotated.o} : () -> tensor<64x64x!hone.q8<64>>
    %q = "hone.linear"(%xq, %wq) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %k = "hone.linear"(%xq, %wk) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %v = "hone.linear"(%xq, %wv) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %rq = "hone.rope"(%q) {heads = 1 : i64, head_dim = 64 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %rk = "hone.rope"(%k) {heads = 1 : i64, head_dim = 64 : i64, frequencies = array<f64: 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5>, scale = 1.0 : f64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %y = "hone.attend"(%rq, %rk, %v) {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, window = 0 : i64, scale = 0.125 : f64} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    %yq = "hone.quantize"(%y) {rotate = 64 : i64} : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %o = "hone.linear"(%yq, %wo) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    return %o : tensor<?x64xf32>
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
    %1 = call @whole(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @small(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %3 = call @rotated(%2) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %4 = call @logits(%3) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %4 : tensor<?x128xf32>
  }
}
