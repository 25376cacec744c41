// Gains go into the linears that read their norm, also through fuse and rotate. What stays: the gain of a norm that a tied
// embedding reads (and @c beside it), of one that a sum reads, and of one before a weight that is quantized already.
// RUN: hone opt %s --passes fold-norms | FileCheck %s
// RUN: hone opt %s --passes fold-norms,fold-norms | FileCheck %s
// CHECK-NOT: sources = ["g"]
// CHECK-DAG: gain = "g", sources = ["a"], sym_name = "ffn.gate", type = tensor<172x64xf32>
// CHECK-DAG: gain = "g", sources = ["b"], sym_name = "ffn.up"
// CHECK-DAG: {combine = "single", sources = ["d"], sym_name = "ffn.down"
// CHECK-DAG: {combine = "single", sources = ["c"], sym_name = "c"
// CHECK-DAG: {combine = "single", sources = ["e"], sym_name = "e"
// CHECK-DAG: {combine = "single", sources = ["s"], sym_name = "s"
// CHECK-DAG: {combine = "single", sources = ["q"], sym_name = "q"
// CHECK-LABEL: func.func private @block(
// CHECK: "hone.norm"(%{{[a-z0-9]*}}) {{{.*}}} : (tensor<?x64xf32>) -> tensor<?x64xf32>
// CHECK-LABEL: func.func private @sum(
// CHECK: "hone.norm"(%{{.*}}, %{{.*}}) {
// CHECK-LABEL: func.func private @quantized(
// CHECK: "hone.norm"(%{{.*}}, %{{.*}}) {
// CHECK-LABEL: func.func private @logits(
// CHECK: "hone.norm"(%{{.*}}, %{{.*}}) {
// RUN: hone opt %s --passes 'fold-norms,quantize{weights=q8},quantize-acts,rotate,fuse' | FileCheck %s --check-prefix=FUSED
// FUSED: combine = "interleave", gain = "g", rotate = 64 : i64, sources = ["a", "b"], sym_name = "ffn.gate_up"
// FUSED-LABEL: func.func private @block(
// FUSED: "hone.norm"(%{{[a-z0-9]*}}) {{{.*}}rotate = 64 : i64} : (tensor<?x64xf32>) -> tensor<?x64x!hone.q8<64 : i64>>
module attributes {hone.model = {add_bos = true, bos = 1 : i64, checkpoint = ".", context = 64 : i64, eos = array<i64: 2>, family = "llama", vocab = 128 : i64, width = 64 : i64}} {
  "hone.recipe"() {combine = "single", sources = ["e"], sym_name = "e", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["g"], sym_name = "g", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["a"], sym_name = "ffn.gate", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["b"], sym_name = "ffn.up", type = tensor<172x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["d"], sym_name = "ffn.down", type = tensor<64x172xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["c"], sym_name = "c", type = tensor<128x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["h"], sym_name = "h", type = tensor<64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["s"], sym_name = "s", type = tensor<64x64xf32>} : () -> ()
  "hone.recipe"() {combine = "single", sources = ["q"], sym_name = "q", type = tensor<64x64x!hone.nf4<64 : i64>>} : () -> ()
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
  func.func private @sum(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @h} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %w = "hone.weight"() {ref = @s} : () -> tensor<64x64xf32>
    %y = "hone.linear"(%n, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %z = "hone.add"(%y, %n) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %z : tensor<?x64xf32>
  }
  func.func private @quantized(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {hone.kind = "ffn", hone.layer = 0 : i64} {
    %g = "hone.weight"() {ref = @h} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %w = "hone.weight"() {ref = @q} : () -> tensor<64x64x!hone.nf4<64 : i64>>
    %y = "hone.linear"(%n, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<64x64x!hone.nf4<64 : i64>>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  func.func private @logits(%x: tensor<?x64xf32>) -> tensor<?x128xf32> attributes {hone.kind = "head"} {
    %w = "hone.weight"() {ref = @e} : () -> tensor<128x64xf32>
    %wc = "hone.weight"() {ref = @c} : () -> tensor<128x64xf32>
    %g = "hone.weight"() {ref = @h} : () -> tensor<64xf32>
    %n = "hone.norm"(%x, %g) {kind = "rms", epsilon = 1.0e-5 : f64} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
    %y = "hone.linear"(%n, %w) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    %z = "hone.linear"(%n, %wc) {epilogue = "none", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    %s = "hone.add"(%y, %z) : (tensor<?x128xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
    return %s : tensor<?x128xf32>
  }
  func.func @forward(%ids: tensor<?xi32>) -> tensor<?x128xf32> {
    %0 = call @tokens(%ids) : (tensor<?xi32>) -> tensor<?x64xf32>
    %1 = call @block(%0) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %s = call @sum(%1) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %q = call @quantized(%s) : (tensor<?x64xf32>) -> tensor<?x64xf32>
    %2 = call @logits(%q) : (tensor<?x64xf32>) -> tensor<?x128xf32>
    return %2 : tensor<?x128xf32>
  }
}
