// The hone dialect, as data. ops.def and formats.def name the same operations and types (a test compares them);
// docs/ir.md explains them. What IRDL cannot say (shapes, element types, references) is checked by ir/verify*.c.
//
// How to read it: each %constraint is a unification variable, so every operand and result has its own; attributes
// are mandatory; an op with more than one optional operand carries operandSegmentSizes.
irdl.dialect @hone {
  // ---- element types: codes of a quantized tensor with one scale per group of `group` elements of a row
  irdl.type @q8 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @nf4 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @q6 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @int4 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @fp4 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @mxfp4 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @nvfp4 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @nf4x {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @ternary {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @b1 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @bcq2 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @bcq3 {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @iq4nl {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @nf4dq {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @bcq2p {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }
  irdl.type @bcq3p {
    %group = irdl.base "#builtin.integer"
    irdl.parameters(group: %group)
  }

  // ---- weights
  irdl.operation @recipe {
    %name = irdl.base "#builtin.string"
    %sources = irdl.base "#builtin.array"
    %single = irdl.is "single"
    %concat = irdl.is "concat"
    %interleave = irdl.is "interleave"
    %combine = irdl.any_of(%single, %concat, %interleave)
    %type = irdl.base "#builtin.type"
    irdl.attributes {"sym_name" = %name, "sources" = %sources, "combine" = %combine, "type" = %type}
  }
  irdl.operation @weight {
    %ref = irdl.base "#builtin.symbol_ref"
    %result = irdl.base "!builtin.tensor"
    irdl.attributes {"ref" = %ref}
    irdl.results(result: %result)
  }

  // ---- activations
  irdl.operation @embed {
    %ids = irdl.base "!builtin.tensor"
    %weight = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    irdl.operands(ids: %ids, weight: %weight)
    irdl.results(result: %result)
  }
  irdl.operation @norm {
    %x = irdl.base "!builtin.tensor"
    %gain = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %kind = irdl.is "rms"
    %epsilon = irdl.base "#builtin.float"
    irdl.operands(x: %x, gain: optional %gain)
    irdl.attributes {"kind" = %kind, "epsilon" = %epsilon}
    irdl.results(result: %result)
  }
  irdl.operation @linear {
    %x = irdl.base "!builtin.tensor"
    %weight = irdl.base "!builtin.tensor"
    %bias = irdl.base "!builtin.tensor"
    %residual = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %none = irdl.is "none"
    %silu_glu = irdl.is "silu_glu"
    %gelu_tanh_glu = irdl.is "gelu_tanh_glu"
    %relu2_glu = irdl.is "relu2_glu"
    %rope_kv = irdl.is "rope_kv"
    %epilogue = irdl.any_of(%none, %silu_glu, %gelu_tanh_glu, %relu2_glu, %rope_kv)
    irdl.operands(x: %x, weight: %weight, bias: optional %bias, residual: optional %residual)
    irdl.attributes {"epilogue" = %epilogue}
    irdl.results(result: %result)
  }
  irdl.operation @rope {
    %x = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %heads = irdl.base "#builtin.integer"
    %head_dim = irdl.base "#builtin.integer"
    %frequencies = irdl.base "#builtin.dense_array"
    %scale = irdl.base "#builtin.float"
    irdl.operands(x: %x)
    irdl.attributes {"heads" = %heads, "head_dim" = %head_dim, "frequencies" = %frequencies, "scale" = %scale}
    irdl.results(result: %result)
  }
  irdl.operation @attend {
    %q = irdl.base "!builtin.tensor"
    %k = irdl.base "!builtin.tensor"
    %v = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %heads = irdl.base "#builtin.integer"
    %kv_heads = irdl.base "#builtin.integer"
    %head_dim = irdl.base "#builtin.integer"
    %window = irdl.base "#builtin.integer"
    %scale = irdl.base "#builtin.float"
    irdl.operands(q: %q, k: %k, v: %v)
    irdl.attributes {"heads" = %heads, "kv_heads" = %kv_heads, "head_dim" = %head_dim, "window" = %window,
                     "scale" = %scale}
    irdl.results(result: %result)
  }
  irdl.operation @attend_packed {
    %qkv = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %heads = irdl.base "#builtin.integer"
    %kv_heads = irdl.base "#builtin.integer"
    %head_dim = irdl.base "#builtin.integer"
    %window = irdl.base "#builtin.integer"
    %scale = irdl.base "#builtin.float"
    %frequencies = irdl.base "#builtin.dense_array"
    %rope_scale = irdl.base "#builtin.float"
    irdl.operands(qkv: %qkv)
    irdl.attributes {"heads" = %heads, "kv_heads" = %kv_heads, "head_dim" = %head_dim, "window" = %window,
                     "scale" = %scale, "frequencies" = %frequencies, "rope_scale" = %rope_scale}
    irdl.results(result: %result)
  }
  irdl.operation @glu {
    %gate = irdl.base "!builtin.tensor"
    %up = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    %silu = irdl.is "silu"
    %gelu_tanh = irdl.is "gelu_tanh"
    %relu2 = irdl.is "relu2"
    %activation = irdl.any_of(%silu, %gelu_tanh, %relu2)
    irdl.operands(gate: %gate, up: %up)
    irdl.attributes {"activation" = %activation}
    irdl.results(result: %result)
  }
  irdl.operation @add {
    %a = irdl.base "!builtin.tensor"
    %b = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    irdl.operands(a: %a, b: %b)
    irdl.results(result: %result)
  }
  irdl.operation @quantize {
    %x = irdl.base "!builtin.tensor"
    %result = irdl.base "!builtin.tensor"
    irdl.operands(x: %x)
    irdl.results(result: %result)
  }
}
