// What canonical removes: ops without uses, equal ops, recipes without uses. And the errors of pipelines.
// RUN: hone opt %s --passes canonical | FileCheck %s
// CHECK-NOT: sym_name = "unused"
// CHECK-LABEL: func.func private @block(
// CHECK-COUNT-1: "hone.norm"
// CHECK-NOT: "hone.norm"
// CHECK: "hone.add"
// RUN: not hone opt %s --passes canonnical 2>&1 | FileCheck %s --check-prefix=NAME
// NAME: unknown pass 'canonnical'; did you mean 'canonical'?
// RUN: not hone opt %s --passes 'canonical{x=1}' 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: pass canonical takes no options, not 'x'
// RUN: not hone opt %s --passes 'canonical,,fuse' 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: empty pass name
// RUN: hone opt %s --passes 'symbol-dce,cse' | FileCheck %s --check-prefix=MLIR
// MLIR: func.func @forward
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["u"], sym_name = "unused", type = tensor<64x64xf32>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @g} : () -> tensor<64xf32>
    %dead = "hone.weight"() {ref = @unused} : () -> tensor<64x64xf32>
    %a = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %b = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %y = "hone.add"(%a, %b) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
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
