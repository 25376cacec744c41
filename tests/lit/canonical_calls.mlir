// A block called twice: canonical gives the second call a copy of its own (with a layer of its own); planning memory without
// that is an error, not a wrong plan.
// RUN: hone opt %s --passes canonical | FileCheck %s
// CHECK: func.func private @block(
// CHECK: func.func private @block.2(
// CHECK: call @block(
// CHECK-NEXT: call @block.2(
// RUN: not hone opt %s --passes plan-memory 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE: @block is called twice
// RUN: hone opt %s --passes canonical,fuse,plan-memory | FileCheck %s --check-prefix=PLANNED
// PLANNED: hone.arena_bytes
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "f.gate", type = tensor<80x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "f.up", type = tensor<80x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["c"], sym_name = "f.down", type = tensor<64x80xf32>} : () -> ()
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
    %d = "hone.linear"(%u, %wd) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x80xf32>, tensor<64x80xf32>) -> tensor<?x64xf32>
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
    %b = call @block(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%b) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
