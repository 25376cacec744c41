// Rows of 64 columns that only linears read are rotated, and the weights they meet, also after fuse. What stays: rows of
// 172 columns, the tied embedding, and @c, which shares rows with it.
// RUN: hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate' | FileCheck %s
// CHECK-DAG: rotate = 64 : i64, sources = ["a"], sym_name = "ffn.gate", type = tensor<172x64x!hone.nf4<64 : i64>>
// CHECK-DAG: rotate = 64 : i64, sources = ["b"], sym_name = "ffn.up"
// CHECK-DAG: combine = "single", sources = ["c"], sym_name = "c"
// CHECK-DAG: combine = "single", sources = ["d"], sym_name = "ffn.down"
// CHECK-DAG: combine = "single", sources = ["e"], sym_name = "e"
// CHECK-LABEL: func.func private @block(
// CHECK: "hone.quantize"(%{{.*}}) {rotate = 64 : i64} : (tensor<?x64xf32>)
// CHECK: "hone.quantize"(%{{[a-z0-9]*}}) : (tensor<?x172xf32>)
// CHECK-LABEL: func.func private @logits(
// CHECK: "hone.quantize"(%{{[a-z0-9]*}}) : (tensor<?x64xf32>)
// RUN: hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate,fuse' | FileCheck %s --check-prefix=FUSED
// FUSED: rotate = 64 : i64, sources = ["a", "b"], sym_name = "ffn.gate_up"
// FUSED-LABEL: func.func private @block(
// FUSED: "hone.norm"({{.*}}rotate = 64 : i64{{.*}}-> tensor<?x64x!hone.q8<64 : i64>>
// RUN: hone opt %s --passes 'quantize{weights=nf4},quantize-acts,fuse,rotate' | FileCheck %s --check-prefix=FUSED
// RUN: hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate,quantize-acts' | FileCheck %s
// RUN: not hone opt %s --passes rotate 2>&1 | FileCheck %s --check-prefix=NOTHING
// RUN: not hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate,rotate' 2>&1 | FileCheck %s --check-prefix=NOTHING
// NOTHING: nothing can be rotated
// RUN: hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate{block=32}' | FileCheck %s --check-prefix=BLOCK
// BLOCK: rotate = 32 : i64, sources = ["a"]
// BLOCK: "hone.quantize"(%{{.*}}) {rotate = 32 : i64}
// RUN: not hone opt %s --passes 'quantize{weights=nf4},quantize-acts,rotate{block=128}' 2>&1 | FileCheck %s --check-prefix=WIDE
// WIDE: nothing can be rotated: {{.*}} a multiple of 128 inputs
// RUN: not hone opt %s --passes 'rotate{block=48}' 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: block=48: blocks of 32, 64 or 128 inputs
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "ffn.gate", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "ffn.up", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["d"], sym_name = "ffn.down", type = tensor<64x172xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["c"], sym_name = "c", type = tensor<128x64xf32>} : () -> ()
  func.func private @tokens(%ids: tensor<?xi32>) -> tensor<?x64xf32> attributes {hone.kind = "embed"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %x = "hone.embed"(%ids, %w) : (tensor<?xi32>, tensor<128x64xf32>) -> tensor<?x64xf32>
    return %x : tensor<?x64xf32>
  }
  func.func private @block(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @g} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %wa = "hone.weight"() {ref = @ffn.gate} : () -> tensor<172x64xf32>
    %wb = "hone.weight"() {ref = @ffn.up} : () -> tensor<172x64xf32>
    %wd = "hone.weight"() {ref = @ffn.down} : () -> tensor<64x172xf32>
    %a = "hone.linear"(%n, %wa) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    %b = "hone.linear"(%n, %wb) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<172x64xf32>) -> tensor<?x172xf32>
    %u = "hone.glu"(%a, %b) {activation = "silu"} : (tensor<?x172xf32>, tensor<?x172xf32>) -> tensor<?x172xf32>
    %y = "hone.linear"(%u, %wd) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x172xf32>, tensor<64x172xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  func.func private @logits(%x: tensor<?x64xf32>) -> tensor<?x128xf32> attributes {hone.kind = "head"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %wc = "hone.weight"() {ref = @c} : () -> tensor<128x64xf32>
    %y = "hone.linear"(%x, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    %z = "hone.linear"(%x, %wc) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    %s = "hone.add"(%y, %z) : (tensor<?x128xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
    return %s : tensor<?x128xf32>
  }
  func.func @forward(%ids: tensor<?xi32>) -> tensor<?x128xf32> {
    %0 = call @tokens(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @block(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%1) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
