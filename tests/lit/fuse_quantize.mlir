// A gated linear and a norm write quantized rows themselves where nobody reads the f32 ones.
// RUN: hone opt %s --passes fuse | FileCheck %s
// CHECK-LABEL: func.func private @block(
// CHECK: %[[H:.*]] = "hone.norm"{{.*}} -> tensor<?x64x!hone.q8<64 : i64>>
// CHECK: %[[U:.*]] = "hone.linear"(%[[H]], {{.*}}epilogue = "silu_glu"{{.*}} -> tensor<?x80x!hone.q8<64 : i64>>
// CHECK-NOT: hone.quantize
// CHECK: "hone.linear"(%[[U]],
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "f.gate", type = tensor<80x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "f.up", type = tensor<80x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["c"], sym_name = "f.down", type = tensor<64x80x!hone.q8<64>>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @g} : () -> tensor<64xf32>
    %h = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %hq = "hone.quantize"(%h) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %wg = "hone.weight"() {ref = @f.gate} : () -> tensor<80x64x!hone.q8<64>>
    %wu = "hone.weight"() {ref = @f.up} : () -> tensor<80x64x!hone.q8<64>>
    %wd = "hone.weight"() {ref = @f.down} : () -> tensor<64x80x!hone.q8<64>>
    %a = "hone.linear"(%hq, %wg) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<80x64x!hone.q8<64>>) -> tensor<?x80xf32>
    %b = "hone.linear"(%hq, %wu) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<80x64x!hone.q8<64>>) -> tensor<?x80xf32>
    %u = "hone.glu"(%a, %b) {activation = "silu"} : (tensor<?x80xf32>, tensor<?x80xf32>) -> tensor<?x80xf32>
    %uq = "hone.quantize"(%u) : (tensor<?x80xf32>) -> tensor<?x80x!hone.q8<64>>
    %d = "hone.linear"(%uq, %wd) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x80x!hone.q8<64>>, tensor<64x80x!hone.q8<64>>) -> tensor<?x64xf32>
    %y = "hone.add"(%x, %d) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
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
