// Quantized linears get a bias that is a recipe of its own, the bias that is there included; those of floats only if asked
// for. What stays: the head, and weights that linears share.
// RUN: hone opt %s --passes 'quantize{weights=nf4},fuse,correct-bias' | FileCheck %s
// RUN: hone opt %s --passes 'quantize{weights=nf4},fuse,correct-bias,correct-bias' | FileCheck %s
// RUN: hone opt %s --passes 'fuse,correct-bias{of=all}' | FileCheck %s
// CHECK-DAG: {combine = "single", corrects = "f.gate_up", sources = [], sym_name = "f.gate_up.correction", type = tensor<160xf32>}
// CHECK-DAG: {combine = "single", corrects = "f.down", sources = ["d"], sym_name = "f.down.correction", type = tensor<64xf32>}
// CHECK-NOT: corrects
// CHECK-NOT: sym_name = "f.bias"
// CHECK-LABEL: func.func private @block(
// CHECK: %[[U:.*]] = "hone.linear"({{.*}}) {epilogue = "silu_glu", operandSegmentSizes = array<i32: 1, 1, 1, 0>}
// CHECK: "hone.linear"(%[[U]], %{{.*}}, %{{.*}}, %arg0) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 1, 1>}
// RUN: hone opt %s --passes fuse,correct-bias | FileCheck %s --check-prefix=FLOATS
// FLOATS-NOT: corrects
// RUN: not hone opt %s --passes correct-bias{of=some} 2>&1 | FileCheck %s --check-prefix=SOME
// SOME: of=some: use quantized or all
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "f.gate", type = tensor<80x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "f.up", type = tensor<80x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["c"], sym_name = "f.down", type = tensor<64x80xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["d"], sym_name = "f.bias", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["s"], sym_name = "s", type = tensor<64x64xf32>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @g} : () -> tensor<64xf32>
    %h = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %wg = "hone.weight"() {ref = @f.gate} : () -> tensor<80x64xf32>
    %wu = "hone.weight"() {ref = @f.up} : () -> tensor<80x64xf32>
    %wd = "hone.weight"() {ref = @f.down} : () -> tensor<64x80xf32>
    %a = "hone.linear"(%h, %wg) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<80x64xf32>) -> tensor<?x80xf32>
    %b = "hone.linear"(%h, %wu) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<80x64xf32>) -> tensor<?x80xf32>
    %u = "hone.glu"(%a, %b) {activation = "silu"} : (tensor<?x80xf32>, tensor<?x80xf32>) -> tensor<?x80xf32>
    %wb = "hone.weight"() {ref = @f.bias} : () -> tensor<64xf32>
    %d = "hone.linear"(%u, %wd, %wb) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (tensor<?x80xf32>, tensor<64x80xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %y = "hone.add"(%x, %d) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  func.func private @twice(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %w = "hone.weight"() {ref = @s} : () -> tensor<64x64xf32>
    %a = "hone.linear"(%x, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %b = "hone.linear"(%a, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    return %b : tensor<?x64xf32>
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
    %t = call @twice(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%t) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
