// A quantized form of x that comes too late for a linear is not its input, and float linears of the head keep f32 input.
// Rows that the model quantizes itself are not to be asked for otherwise.
// RUN: hone opt %s --passes quantize-acts | FileCheck %s
// CHECK-LABEL: func.func private @block(
// CHECK: %[[Q:.*]] = "hone.quantize"(%arg0)
// CHECK-NEXT: "hone.linear"(%[[Q]],
// CHECK-NEXT: %[[LATE:.*]] = "hone.quantize"(%arg0)
// CHECK-NEXT: "hone.linear"(%[[LATE]],
// CHECK-LABEL: func.func private @logits(
// CHECK-NOT: "hone.quantize"
// RUN: not hone opt %s --passes 'quantize-acts{acts=f32}' 2>&1 | FileCheck %s --check-prefix=FLOAT
// FLOAT: acts=f32: the model was trained with q8 activations
// RUN: not hone opt %s --passes 'quantize-acts{acts=b1}' 2>&1 | FileCheck %s --check-prefix=SIGNS
// SIGNS: acts=b1: this model was not trained with activations of one bit
// RUN: hone opt %s --passes 'quantize-acts,hone-cse,fuse' | FileCheck %s --check-prefix=ONCE
// ONCE-COUNT-1: "hone.quantize"
// ONCE-NOT: "hone.quantize"
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "a", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "b", type = tensor<64x64x!hone.q8<64>>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %wa = "hone.weight"() {ref = @a} : () -> tensor<64x64x!hone.q8<64>>
    %wb = "hone.weight"() {ref = @b} : () -> tensor<64x64x!hone.q8<64>>
    %a = "hone.linear"(%x, %wa) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %q = "hone.quantize"(%x) : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64>>
    %b = "hone.linear"(%q, %wb) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64x!hone.q8<64>>, tensor<64x64x!hone.q8<64>>) -> tensor<?x64xf32>
    %y = "hone.add"(%a, %b) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
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
