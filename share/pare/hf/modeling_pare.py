# SPDX-License-Identifier: Apache-2.0
"""A model that no plain checkpoint of its family expresses, as written by pare.

Every layer is two stages, x <- skip(x) + branch(norm(x)): attention, then MLP; or one with both branches (`parallel`).
`skip` is the identity unless the layer has an `attention_skip` / `mlp_skip` matrix; the norm may stand elsewhere
(`norm_place`). RMS norms divide by the width of the original model.
"""

import dataclasses
import math

import torch
import transformers
from torch import nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.cache_utils import DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .configuration_pare import PareConfig

# What outputs call the cache.
CACHE = "cache" if "cache" in {f.name for f in dataclasses.fields(CausalLMOutputWithPast)} else "past_key_values"


class PareRMSNorm(nn.Module):
    def __init__(self, width, divisor, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.divisor = divisor
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).sum(-1, keepdim=True) / self.divisor + self.eps)
        return self.weight * (wide * scale).to(x.dtype)


def make_norm(config, width):
    if config.pare.get("norm", "rms") == "layer":
        return nn.LayerNorm(width, config.rms_norm_eps)
    return PareRMSNorm(width, config.pare["norm_width"], config.rms_norm_eps)


def yarn_kept(rope, dim, device):
    """How much of its own frequency each pair keeps (rotary_dim / 2): all of it where it turns often, none where rarely."""

    def pair_with(turns):
        length = rope["original_max_position_embeddings"]
        return dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(rope["rope_theta"]))

    low, high = pair_with(rope.get("beta_fast", 32)), pair_with(rope.get("beta_slow", 1))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    pairs = torch.arange(dim // 2, dtype=torch.float32, device=device)
    return 1 - ((pairs - low) / (high - low if high != low else 0.001)).clamp(0, 1)


def inverse_frequencies(config, length, device):
    """Rotary frequencies (rotary_dim / 2) of a sequence of so many tokens, scaled as the config says."""
    dim = config.rotary_dim
    if not dim:
        return torch.zeros(0, device=device)
    rope = config.rope_parameters
    inv_freq = 1.0 / rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim)
    if rope["rope_type"] == "linear":
        return inv_freq / rope["factor"]
    if rope["rope_type"] == "llama3":
        # Low frequencies are divided by `factor`, high ones kept, those between blended.
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        turns = original * inv_freq / (2 * math.pi)
        blend = ((turns - low) / (high - low)).clamp(0, 1)
        return inv_freq * (blend + (1 - blend) / rope["factor"])
    if rope["rope_type"] == "yarn":
        kept = yarn_kept(rope, dim, device)
        return inv_freq * (kept + (1 - kept) / rope["factor"])
    if rope["rope_type"] == "longrope":
        is_long = length > rope["original_max_position_embeddings"]
        return inv_freq / torch.tensor(rope["long_factor" if is_long else "short_factor"], device=device)
    if rope["rope_type"] == "dynamic" and length > config.max_position_embeddings:
        stretch = rope["factor"] * length / config.max_position_embeddings - (rope["factor"] - 1)
        return inv_freq / stretch ** (torch.arange(0, dim, 2, dtype=torch.float32, device=device) / (dim - 2))
    return inv_freq


def attention_factor(config):
    """What scaling multiplies rotated queries and keys with."""
    return config.rope_parameters.get("attention_factor", 1.0) if config.rotary_dim else 1.0


def rotate(x, cos, sin):
    """The first values of x (batch, heads, tokens, head_dim); cos, sin (batch, 1, tokens, rotary_dim / 2)."""
    dim = 2 * cos.shape[-1]
    first, second = x[..., :dim].chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin, x[..., dim:]), dim=-1)


def unpack_bits(mask, columns):
    """Bit i of byte b of a row (rows, bytes) says whether column 8b + i stays: (rows, columns) of bool."""
    bits = (mask[:, :, None] >> torch.arange(8, dtype=torch.uint8, device=mask.device)) & 1
    return bits.flatten(1)[:, :columns].bool()


def spread(values, mask, columns):
    """The values that stay (rows, kept), in column order, and zeros: (rows, columns)."""
    dense = torch.zeros(mask.shape[0], columns, dtype=values.dtype, device=values.device)
    dense[unpack_bits(mask, columns)] = values.flatten()
    return dense


def unpack_int4(codes):
    """Two codes of 0 to 15 a byte, the lower four bits first (rows, bytes): (rows, 2 · bytes)."""
    return torch.stack((codes & 15, codes >> 4), dim=-1).flatten(1)


# Levels of iq4_nl, iq4_xs and q4n, of q3n, and twice those of mxfp4.
IQ4_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
Q3N_LEVELS = (-63, -40, -23, -10, 1, 13, 28, 47)
TWICE_MXFP4_LEVELS = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def planes(data, group, bits):
    """Numbers of so many bits, (..., bytes · 8 / bits): number k · group + j of a group of bytes is the k-th lowest of
    byte j."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=data.device)
    return ((data.unflatten(-1, (-1, 1, group)) >> shifts[:, None]) & (1 << bits) - 1).flatten(-3).int()


def half(data, byte):
    """The float of 16 bits that begins at a byte of each block: (..., 1)."""
    return data[..., byte : byte + 2].contiguous().view(torch.float16).float()


def level(values, codes):
    return torch.tensor(values, dtype=torch.float32, device=codes.device)[codes.long()]


def times(scales, numbers):
    """Numbers (..., n) in as many parts as there are scales (..., parts)."""
    return (scales[..., None] * numbers.unflatten(-1, (scales.shape[-1], -1))).flatten(-2)


def k_scales(data):
    """Scales and minima (..., 8) of q4_k and q5_k, six bits each in 12 bytes."""
    first, second, rest = data[..., :4].int(), data[..., 4:8].int(), data[..., 8:].int()
    scales = torch.cat((first & 63, rest & 15 | first >> 6 << 4), -1)
    return scales, torch.cat((second & 63, rest >> 4 | second >> 6 << 4), -1)


def ternary(data, digits):
    """Digits of bytes to the base 3, less 1: number n · bytes + j is digit n of byte j."""
    powers = 3 ** torch.arange(digits, dtype=torch.int32, device=data.device)
    return ((data.int()[..., None, :] * powers[:, None] & 255) * 3 >> 8).flatten(-2) - 1


def decode_mxfp4(data):
    half_scale = (2.0 ** (data[..., :1].double() - 128)).float()
    return half_scale * level(TWICE_MXFP4_LEVELS, planes(data[..., 1:], 16, 4))


def decode_q2_k(data):
    scales, minima = half(data, 80) * (data[..., :16] & 15), half(data, 82) * (data[..., :16] >> 4)
    return times(scales, planes(data[..., 16:80], 32, 2)) - minima.repeat_interleave(16, -1)


def decode_q3_k(data):
    scales = (planes(data[..., 96:104], 8, 4) | planes(data[..., 104:108], 4, 2) << 4) - 32
    codes = planes(data[..., 32:96], 32, 2) | planes(data[..., :32], 32, 1) << 2
    return times(half(data, 108) * scales, codes - 4)


def decode_q4_k(data, codes=None):
    scales, minima = k_scales(data[..., 4:16])
    codes = planes(data[..., 16:], 32, 4) if codes is None else codes
    return times(half(data, 0) * scales, codes) - (half(data, 2) * minima).repeat_interleave(32, -1)


def decode_q5_k(data):
    return decode_q4_k(data, planes(data[..., 48:], 32, 4) | planes(data[..., 16:48], 32, 1) << 4)


def decode_q6_k(data):
    codes = planes(data[..., :128], 64, 4) | planes(data[..., 128:192], 32, 2) << 4
    return times(half(data, 208) * data[..., 192:208].view(torch.int8), codes - 32)


def decode_iq4_xs(data):
    scales = (planes(data[..., 4:8], 1, 4) | planes(data[..., 2:4], 1, 2) << 4) - 32
    return times(half(data, 0) * scales, level(IQ4_LEVELS, planes(data[..., 8:], 16, 4)))


def decode_tq1_0(data):
    parts = (ternary(data[..., :32], 5), ternary(data[..., 32:48], 5), ternary(data[..., 48:52], 4))
    return half(data, 52) * torch.cat(parts, -1)


# Block encodings of GGUF: values and bytes of a block, and the values (..., values) in f32 of its bytes (..., bytes).
BLOCKS = {
    "q8_0": (32, 34, lambda data: half(data, 0) * data[..., 2:].view(torch.int8)),
    "q4_0": (32, 18, lambda data: half(data, 0) * (planes(data[..., 2:], 16, 4) - 8)),
    "q4_1": (32, 20, lambda data: half(data, 0) * planes(data[..., 4:], 16, 4) + half(data, 2)),
    "q5_0": (
        32,
        22,
        lambda data: half(data, 0) * ((planes(data[..., 6:], 16, 4) | planes(data[..., 2:6], 1, 1) << 4) - 16),
    ),
    "q5_1": (
        32,
        24,
        lambda data: half(data, 0) * (planes(data[..., 8:], 16, 4) | planes(data[..., 4:8], 1, 1) << 4) + half(data, 2),
    ),
    "iq4_nl": (32, 18, lambda data: half(data, 0) * level(IQ4_LEVELS, planes(data[..., 2:], 16, 4))),
    "mxfp4": (32, 17, decode_mxfp4),
    "q2_k": (256, 84, decode_q2_k),
    "q3_k": (256, 110, decode_q3_k),
    "q4_k": (256, 144, decode_q4_k),
    "q5_k": (256, 176, decode_q5_k),
    "q6_k": (256, 210, decode_q6_k),
    "iq4_xs": (256, 136, decode_iq4_xs),
    "tq1_0": (256, 54, decode_tq1_0),
    "tq2_0": (256, 66, lambda data: half(data, 64) * (planes(data[..., :64], 32, 2) - 1)),
}
# Types of scales that a format names; all others are f32.
SCALE_TYPES = {"f16": torch.float16, "bf16": torch.bfloat16}
# Bytes of the codes of 32 values in pare's own encodings, whose rows begin with a factor and a scale for each block.
OWN_BLOCKS = {"q4n": 16, "q3n": 12}


def bytes_of_row(encoding, columns):
    if encoding in OWN_BLOCKS:
        blocks = columns // 32
        return 2 + (6 * blocks + 7) // 8 + blocks * OWN_BLOCKS[encoding]
    values, size, _ = BLOCKS[encoding]
    return columns // values * size


def decode_own(encoding, data):
    """Rows (rows, bytes) of q4n or q3n: (rows, columns) in f32."""
    size = OWN_BLOCKS[encoding]
    blocks = (data.shape[1] - 2) * 8 // (6 + 8 * size)
    codes_at = 2 + (6 * blocks + 7) // 8
    powers = 1 << torch.arange(6, dtype=torch.int32, device=data.device)
    scales = (planes(data[:, 2:codes_at], 1, 1)[:, : 6 * blocks].unflatten(1, (-1, 6)) * powers).sum(2) - 32
    data, factor = data[:, codes_at:].unflatten(1, (-1, size)), half(data, 0)
    if encoding == "q4n":
        values = level(IQ4_LEVELS, planes(data, 16, 4))
    else:
        values = level(Q3N_LEVELS, planes(data[..., :8], 8, 2) | planes(data[..., 8:], 1, 1) << 2)
    return times(factor * scales, values.flatten(1))


def decode_blocks(encoding, data):
    """Rows of a block encoding (rows, bytes): (rows, columns) in f32."""
    if encoding in OWN_BLOCKS:
        return decode_own(encoding, data)
    _, size, decode = BLOCKS[encoding]
    return decode(data.unflatten(1, (-1, size))).flatten(1)


class PackedWeight(nn.Module):
    """A matrix (rows, columns) without its zeros, or as codes with scales, or both, or in blocks: pare's format `packed`.
    `text` is "dense", "2:4", "int4-g32", "2:4-int4-g128-z", "q4n", …; `int8` says that the values are codes of 8 bits with
    a scale a row, although the text is a pattern."""

    ROWS_AT_ONCE = 4096  # of blocks, whose decoding takes some times their values

    def __init__(self, rows, columns, text, int8):
        super().__init__()
        self.columns = columns
        words = text.split("-")
        pattern = words.pop(0) if ":" in words[0] or words[0] == "dense" else "dense"
        self.encoding = words.pop(0) if words else "int8" if int8 else "float"
        group = int(words.pop(0)[1:]) if words and words[0].startswith("g") else None
        kept = columns
        self.register_buffer("mask", None)
        self.register_buffer("scale", None)
        self.register_buffer("zero_point", None)
        if pattern != "dense":
            n, m = map(int, pattern.split(":"))
            kept = columns // m * n
            self.mask = torch.zeros(rows, (columns + 7) // 8, dtype=torch.uint8)
        if self.encoding in ("int8", "int4"):
            grid = (rows,) if group is None else (rows, columns // group)
            self.scale = torch.zeros(grid, dtype=SCALE_TYPES.get(words[-1] if words else "", torch.float32))
            if "z" in words:
                self.zero_point = torch.zeros(grid, dtype=torch.uint8)
        if self.encoding == "int4":
            values = torch.zeros(rows, kept // 2, dtype=torch.uint8)
        elif self.encoding in BLOCKS or self.encoding in OWN_BLOCKS:
            values = torch.zeros(rows, bytes_of_row(self.encoding, columns), dtype=torch.uint8)
        else:
            values = torch.zeros(rows, kept, dtype=torch.int8 if self.encoding == "int8" else torch.get_default_dtype())
        self.register_buffer("values", values)

    def expand(self, dtype):
        values = self.values
        if self.encoding in BLOCKS or self.encoding in OWN_BLOCKS:
            return torch.cat([decode_blocks(self.encoding, rows).to(dtype) for rows in values.split(self.ROWS_AT_ONCE)])
        if self.scale is not None:
            codes = (unpack_int4(values) if self.encoding == "int4" else values).float()
            rows, kept = codes.shape
            scale = self.scale.float().reshape(rows, -1, 1)
            zero = 8 if self.encoding == "int4" else 0
            if self.zero_point is not None:
                zero = self.zero_point.float().reshape(rows, -1, 1)
            values = ((codes.reshape(rows, scale.shape[1], -1) - zero) * scale).reshape(rows, kept)
        return values.to(dtype) if self.mask is None else spread(values.to(dtype), self.mask, self.columns)


class PackedLinear(nn.Module):
    """A linear whose weight is packed. It runs as it is, expanding its weight each time; from_pretrained() makes an
    ordinary nn.Linear of it."""

    def __init__(self, linear, text, int8):
        super().__init__()
        self.weight = PackedWeight(linear.out_features, linear.in_features, text, int8)
        self.bias = linear.bias

    def expanded_weight(self, dtype):
        return self.weight.expand(dtype)

    def forward(self, x):
        return nn.functional.linear(x, self.expanded_weight(x.dtype), self.bias)


class TiedHead(nn.Module):
    """A head whose weight is that of a packed embedding, which alone holds it."""

    def __init__(self, model, linear):
        super().__init__()
        self.model = [model]  # a list hides the module, which has its place elsewhere
        self.bias = linear.bias

    @property
    def embedding(self):
        return self.model[0].embed_tokens

    def forward(self, x):
        return nn.functional.linear(x, self.embedding.weight.expand(x.dtype).to(x.device), self.bias)


class PackedEmbedding(nn.Module):
    """An embedding whose weight is packed; its rows are f32. from_pretrained() makes an ordinary nn.Embedding of it."""

    def __init__(self, embedding, text, int8):
        super().__init__()
        self.weight = PackedWeight(embedding.num_embeddings, embedding.embedding_dim, text, int8)
        self.padding_idx = embedding.padding_idx

    def forward(self, ids):
        return nn.functional.embedding(ids, self.weight.expand(torch.float32))


class BitmaskLinear(PackedLinear):
    """The same for `sparse-24-bitmask` of compressed-tensors, whose tensors have other names."""

    def __init__(self, linear):
        nn.Module.__init__(self)
        rows, columns = linear.out_features, linear.in_features
        self.register_buffer("compressed", torch.zeros(rows, columns // 2, dtype=torch.get_default_dtype()))
        self.register_buffer("bitmask", torch.zeros(rows, (columns + 7) // 8, dtype=torch.uint8))
        self.register_buffer("shape", torch.zeros(2, 1, dtype=torch.int64))
        self.bias = linear.bias
        self.columns = columns

    def expanded_weight(self, dtype):
        return spread(self.compressed.to(dtype), self.bitmask, self.columns)


def replace_module(root, name, module):
    parent, _, child = name.rpartition(".")
    setattr(root.get_submodule(parent), child, module)


def pack_modules(module, config, prefix=""):
    """Puts a packed linear or embedding in the place of each one of `module` that config.storage says is stored so.
    `prefix` stands before the module's own names in the checkpoint."""
    storage = config.storage
    if storage is None:
        return
    for name, plain in list(module.named_modules()):
        if storage["quant_method"] == "pare":
            tensor = f"{prefix}{name}.weight"
            if not isinstance(plain, (nn.Linear, nn.Embedding)) or tensor not in storage["tensors"]:
                continue
            kind = PackedLinear if isinstance(plain, nn.Linear) else PackedEmbedding
            packed = kind(plain, storage["tensors"][tensor], tensor in storage.get("int8", []))
        elif not isinstance(plain, nn.Linear) or prefix + name in storage["sparsity_config"].get("ignore", []):
            continue
        else:
            packed = BitmaskLinear(plain)
        replace_module(module, name, packed)


def expanded(packed, dtype):
    """The ordinary module that a packed one stands for."""
    if isinstance(packed, PackedEmbedding):
        weight = nn.Parameter(packed.weight.expand(dtype))
        module = nn.Embedding(*weight.shape, packed.padding_idx, device="meta")
    else:
        tied = isinstance(packed, TiedHead)
        weight = packed.embedding.weight if tied else nn.Parameter(packed.expanded_weight(dtype))
        module = nn.Linear(weight.shape[1], weight.shape[0], bias=packed.bias is not None, device="meta")
        module.bias = packed.bias
    module.weight = weight
    return module.train(packed.training)


def expand_modules(root):
    """Makes an ordinary module of each packed one, one after the other. Returns whether none is left: those that
    accelerate moves between devices stay as they are."""
    left = 0
    for name, packed in list(root.named_modules()):
        if not isinstance(packed, (PackedLinear, PackedEmbedding, TiedHead)):
            continue
        waits = isinstance(packed, TiedHead) and isinstance(packed.embedding, PackedEmbedding)
        if waits or any(hasattr(part, "_hf_hook") for part in packed.modules()):
            left += 1
            continue
        replace_module(root, name, expanded(packed, root.dtype))
    return left == 0


class PareAttention(nn.Module):
    def __init__(self, config, layer, cache_index):
        super().__init__()
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        self.value_head_dim = layer["value_head_dim"]
        self.dropout = config.attention_dropout
        self.norms = config.pare.get("query_key_norm", "none")
        self.cache_index = cache_index
        width = layer["input_width"]
        self.q_proj = nn.Linear(width, self.heads * self.head_dim, bias=config.has_bias("q"))
        self.k_proj = nn.Linear(width, self.kv_heads * self.head_dim, bias=config.has_bias("k"))
        self.v_proj = nn.Linear(width, self.kv_heads * self.value_head_dim, bias=config.has_bias("v"))
        self.o_proj = nn.Linear(
            self.heads * self.value_head_dim, layer["attention_output_width"], bias=config.has_bias("o")
        )
        if self.norms != "none":
            whole = self.norms == "whole"
            queries, keys = (self.head_dim * (n if whole else 1) for n in (self.heads, self.kv_heads))
            self.q_norm = PareRMSNorm(queries, queries, config.rms_norm_eps)
            self.k_norm = PareRMSNorm(keys, keys, config.rms_norm_eps)

    def forward(self, x, cos, sin, mask, cache):
        batch, tokens, _ = x.shape
        q, k = self.q_proj(x), self.k_proj(x)
        if self.norms == "whole":
            q, k = self.q_norm(q), self.k_norm(k)
        q = q.view(batch, tokens, self.heads, self.head_dim)
        k = k.view(batch, tokens, self.kv_heads, self.head_dim)
        if self.norms == "head":
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = q.transpose(1, 2), k.transpose(1, 2)
        v = self.v_proj(x).view(batch, tokens, self.kv_heads, self.value_head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.update(k, v, self.cache_index)
        group = self.heads // self.kv_heads
        out = nn.functional.scaled_dot_product_attention(
            q,
            k.repeat_interleave(group, dim=1),
            v.repeat_interleave(group, dim=1),
            attn_mask=mask[..., : k.shape[2]],
            dropout_p=self.dropout if self.training else 0.0,
            scale=self.head_dim**-0.5,
        )
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, self.heads * self.value_head_dim))


class PareMLP(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        before = layer["input_width" if config.pare.get("parallel", False) else "attention_output_width"]
        hidden, after = layer["intermediate_size"], layer["output_width"]
        self.gate_proj = None
        if config.pare.get("gated", True):
            self.gate_proj = nn.Linear(before, hidden, bias=config.has_bias("gate"))
        self.up_proj = nn.Linear(before, hidden, bias=config.has_bias("up"))
        self.down_proj = nn.Linear(hidden, after, bias=config.has_bias("down"))
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, x):
        if self.gate_proj is None:
            return self.down_proj(self.activation(self.up_proj(x)))
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class PareLayer(nn.Module):
    def __init__(self, config, layer, cache_index):
        super().__init__()
        before, middle, after = layer["input_width"], layer["attention_output_width"], layer["output_width"]
        self.parallel = config.pare.get("parallel", False)
        self.norm_place = config.pare.get("norm_place", "input")
        self.self_attn = self.mlp = self.attention_skip = self.mlp_skip = None
        behind = self.norm_place != "input"
        if layer["value_head_dim"] > 0:
            self.self_attn = PareAttention(config, layer, cache_index)
        if layer["intermediate_size"] > 0:
            self.mlp = PareMLP(config, layer)
        if self.self_attn is not None or (self.parallel and self.mlp is not None):
            self.input_layernorm = make_norm(config, middle if behind else before)
        if self.mlp is not None and not self.parallel:
            self.post_attention_layernorm = make_norm(config, after if behind else middle)
        if layer.get("attention_skip", False):
            self.attention_skip = nn.Linear(before, middle, bias=False)
        if layer.get("mlp_skip", False):
            self.mlp_skip = nn.Linear(middle, after, bias=False)

    def add_branch(self, residual, x, norm, branch, *args):
        if self.norm_place == "input":
            return residual + branch(norm(x), *args)
        if self.norm_place == "branch":
            return residual + norm(branch(x, *args))
        return norm(residual + branch(x, *args))

    def forward(self, x, cos, sin, mask, cache):
        residual = x if self.attention_skip is None else self.attention_skip(x)
        if self.self_attn is not None:
            residual = self.add_branch(residual, x, self.input_layernorm, self.self_attn, cos, sin, mask, cache)
        if self.parallel:
            return residual if self.mlp is None else residual + self.mlp(self.input_layernorm(x))
        x = residual
        residual = x if self.mlp_skip is None else self.mlp_skip(x)
        if self.mlp is not None:
            residual = self.add_branch(residual, x, self.post_attention_layernorm, self.mlp)
        return residual


class ParePreTrainedModel(PreTrainedModel):
    config_class = PareConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["PareLayer"]
    _skip_keys_device_placement = ["past_key_values", "cache"]
    _supports_sdpa = True
    _supports_cache_class = True

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        result = super().from_pretrained(*args, **kwargs)
        model = result[0] if isinstance(result, tuple) else result
        if model.config.storage is not None and expand_modules(model):
            model.config.storage = None
            vars(model).pop("_tied_weights_keys", None)  # of a tied head that was packed
            model.tie_weights()
        return result

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, (PareRMSNorm, nn.LayerNorm)):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.LayerNorm):
            nn.init.zeros_(module.bias)


class PareModel(ParePreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        width, layers, cache_index = config.stream_width, [], 0
        self.embed_tokens = nn.Embedding(config.vocab_size, config.pare["embedding_width"], config.pad_token_id)
        self.embedding_transform = None
        if config.pare.get("embedding_transform", False):
            self.embedding_transform = nn.Linear(config.pare["embedding_width"], width, bias=False)
        self.embed_positions = nn.Embedding(config.position_rows, width) if config.position_rows else None
        for layer in config.pare["layers"]:
            # Layers without attention take no place in the cache, whose first place tells how long it is.
            layers.append(PareLayer(config, layer, cache_index))
            cache_index += layer["value_head_dim"] > 0
            width = layer["output_width"]
        self.layers = nn.ModuleList(layers)
        self.norm = make_norm(config, width) if config.pare.get("final_norm", True) else None
        self.head_transform = None
        if config.pare.get("head_transform", False):
            self.head_transform = nn.Linear(width, config.head_width, bias=False)
        pack_modules(self, config, "model.")
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def set_input_embeddings(self, value):
        self.embed_tokens = value

    @staticmethod
    def causal_mask(attention_mask, past, x):
        """Additive mask (batch, 1, tokens, past + tokens), or the one given when it is already 4-dimensional."""
        if attention_mask is not None and attention_mask.dim() == 4:
            return attention_mask
        batch, tokens, _ = x.shape
        keys = past + tokens if attention_mask is None else max(attention_mask.shape[1], past + tokens)
        rows = torch.arange(past, past + tokens, device=x.device)
        seen = (torch.arange(keys, device=x.device)[None, :] <= rows[:, None])[None, None]
        if attention_mask is not None:
            real = nn.functional.pad(attention_mask.bool(), (0, keys - attention_mask.shape[1]), value=True)
            # A padding row sees nothing real; left so, its softmax would be NaN.
            seen = seen & (real[:, None, None, :] | (rows[:, None] == torch.arange(keys, device=x.device)))
        return torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill(
            ~seen, torch.finfo(x.dtype).min
        )

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_hidden_states=None,
        cache=None,
        **kwargs,
    ):
        """`cache` and `past_key_values` are one: transformers 5.24 renamed it."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        x = self.embed_tokens(input_ids).to(self.dtype) if inputs_embeds is None else inputs_embeds
        if self.embedding_transform is not None:
            x = self.embedding_transform(x)
        checkpointing = self.gradient_checkpointing and self.training
        use_cache = (self.config.use_cache if use_cache is None else use_cache) and not checkpointing
        cache = past_key_values if cache is None else cache
        if use_cache and cache is None:
            cache = DynamicCache()
        past = 0 if cache is None else int(cache.get_seq_length())
        if position_ids is None:
            position_ids = torch.arange(past, past + x.shape[1], device=x.device)[None]
        if self.embed_positions is not None:
            x = x + self.embed_positions(position_ids + self.config.pare.get("position_offset", 0))
        # Padding is no part of a sequence's length.
        frequencies = inverse_frequencies(self.config, int(position_ids.max()) + 1, x.device)
        angles = (position_ids[..., None].float() * frequencies)[:, None]
        factor = attention_factor(self.config)
        cos, sin = (angles.cos() * factor).to(x.dtype), (angles.sin() * factor).to(x.dtype)
        mask = self.causal_mask(attention_mask, past, x)
        states = [x]
        for layer in self.layers:
            if checkpointing:
                x = self._gradient_checkpointing_func(layer.__call__, x, cos, sin, mask, None)
            else:
                x = layer(x, cos, sin, mask, cache)
            states.append(x)
        if self.norm is not None:
            x = self.norm(x)
        if self.head_transform is not None:
            x = self.head_transform(x)
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            hidden_states=tuple(states) if output_hidden_states else None,
            **{CACHE: cache if use_cache else None},
        )


class PareForCausalLM(ParePreTrainedModel, GenerationMixin):
    # transformers 5 names the source of a tie, 4 only what is tied.
    _tied_weights_keys = (
        ["lm_head.weight"]
        if int(transformers.__version__.split(".")[0]) < 5
        else {"lm_head.weight": "model.embed_tokens.weight"}
    )

    def __init__(self, config):
        super().__init__(config)
        self.model = PareModel(config)
        width = config.head_width
        if config.tie_word_embeddings and width != config.pare["embedding_width"]:
            raise ValueError(
                f"the tied head reads {config.pare['embedding_width']} values, the last width is {width}"
            )
        self.lm_head = nn.Linear(width, config.vocab_size, bias=config.pare.get("head_bias", False))
        pack_modules(self, config)
        if config.tie_word_embeddings and isinstance(self.model.embed_tokens, PackedEmbedding):
            self.lm_head = TiedHead(self.model, self.lm_head)
            self._tied_weights_keys = None
        self.post_init()

    def tie_weights(self, *args, **kwargs):
        if isinstance(self.lm_head, TiedHead):
            return None
        return super().tie_weights(*args, **kwargs)

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def set_input_embeddings(self, value):
        self.model.embed_tokens = value

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, value):
        self.lm_head = value

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        cache = kwargs.get(CACHE)
        past = 0 if cache is None else int(cache.get_seq_length())
        if past and self.config.rotary_dim and self.config.rope_parameters["rope_type"] == "longrope":
            original = self.config.rope_parameters["original_max_position_embeddings"]
            total = input_ids.shape[1] if attention_mask is None else int(attention_mask.sum(1).max())
            if total > original >= total - (input_ids.shape[1] - past):
                # The sequence becomes a long one: the cached keys are rotated as those of short ones are.
                kwargs[CACHE] = None
                if "next_sequence_length" in kwargs:
                    kwargs["next_sequence_length"] = None
        return super().prepare_inputs_for_generation(input_ids, attention_mask=attention_mask, **kwargs)

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        labels=None,
        use_cache=None,
        output_hidden_states=None,
        return_dict=None,
        logits_to_keep=0,
        cache=None,
        **kwargs,
    ):
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            cache=cache,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, keep])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        result = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            **{CACHE: getattr(outputs, CACHE)},
        )
        return result.to_tuple() if return_dict is False else result
