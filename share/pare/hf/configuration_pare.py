# SPDX-License-Identifier: Apache-2.0
"""Configuration of a model that no plain checkpoint of its family expresses, as written by pare."""

from transformers import PretrainedConfig

_BIASES = ("q", "k", "v", "o", "gate", "up", "down")
# What each kind of rotary embedding needs; all others have defaults.
_ROPE_KEYS = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor", "attention_factor", "original_max_position_embeddings"),
    "longrope": ("short_factor", "long_factor", "attention_factor", "original_max_position_embeddings"),
}
_CHOICES = {
    "norm": ("rms", "layer"),
    "norm_place": ("input", "branch", "sum"),
    "query_key_norm": ("none", "head", "whole"),
}
_LAYER_WIDTHS = (
    "input_width",
    "attention_output_width",
    "output_width",
    "value_head_dim",
    "intermediate_size",
)


def _is_own_storage(quantization):
    """Whether it is a format in which pare writes linears: modeling_pare.py reads those itself."""
    if not isinstance(quantization, dict):
        return False
    method = quantization.get("quant_method")
    if method == "pare":
        if quantization.get("format") != "packed" or quantization.get("version") not in (1, 2):
            raise ValueError(f"this code reads packed matrices of version 1 and 2, not {quantization.get('format')} of "
                             f"version {quantization.get('version')}")
        return True
    sparsity = quantization.get("sparsity_config") or {}
    return method == "compressed-tensors" and sparsity.get("format") == "sparse-24-bitmask"


class PareConfig(PretrainedConfig):
    """The keys of LlamaConfig (`rms_norm_eps` is that of any norm), plus `pare`, which says what the blocks are made of
    and how wide they are:

    family            the model's family before it was cut; not used here
    norm              "rms": x * rsqrt(sum(x^2) / norm_width + eps) * weight; "layer": LayerNorm with a bias
    norm_width        the divisor of every RMS norm
    norm_place        where the norm of a stage stands: "input": skip(x) + branch(norm(x)); "branch": skip(x) +
                      norm(branch(x)); "sum": norm(skip(x) + branch(x))
    query_key_norm    RMS norms of queries and keys, before they are rotated: "none", of each "head", or of the "whole"
    final_norm        whether there is a norm behind the layers; missing is true
    gated             whether the MLP is down(act(gate(x)) * up(x)); else it is down(act(up(x)))
    parallel          whether attention and MLP read one norm and are added together; else the MLP follows
    rotary_dim        first values of a head that are rotated; 0: none
    learned_positions whether a learned vector is added for each position, from row position_offset of its table on
    position_offset   rows before that of position 0
    embedding_width   columns of the embedding (and of a tied head)
    embedding_transform  whether a matrix stands behind the embedding: (first input_width, embedding_width)
    head_transform    whether a matrix stands between the last norm and the head: (embedding_width, last width) where the
                      head is tied or the embedding has a matrix, else square
    head_bias         whether the head has a bias
    biases            {"q", "k", "v", "o", "gate", "up", "down"}: which linears have one, in every layer; missing is false
    layers            for each layer
        input_width             of the residual stream that enters
        attention_output_width  of the residual stream after the attention stage
        output_width            of the residual stream after the MLP stage
        value_head_dim          per key/value head; 0: the attention stage has no norm and no linears
        intermediate_size       of the MLP; 0: the MLP stage has no norm and no linears
        attention_skip, mlp_skip  whether a matrix (width after, width before) multiplies the residual of that stage; a
                                  parallel layer is one stage, that of its attention

    `storage` is the "quantization_config" of config.json where pare wrote linears without their zeros or as codes: kept
    under another name, since no quantizer of transformers reads it.
    """

    model_type = "pare"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(
        self,
        vocab_size=32000,
        hidden_size=None,
        num_hidden_layers=0,
        num_attention_heads=1,
        num_key_value_heads=None,
        head_dim=None,
        hidden_act="silu",
        max_position_embeddings=2048,
        initializer_range=0.02,
        rms_norm_eps=1e-6,
        use_cache=True,
        pad_token_id=None,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        rope_theta=None,
        rope_scaling=None,
        rope_parameters=None,
        attention_dropout=0.0,
        pare=None,
        quantization_config=None,
        **kwargs,
    ):
        pare = dict(pare or {"norm_width": 1, "embedding_width": 1, "layers": []})
        self.pare = pare
        self.storage = None
        if _is_own_storage(quantization_config):
            self.storage = quantization_config
        elif quantization_config is not None:
            kwargs["quantization_config"] = quantization_config
        self.vocab_size = vocab_size
        self.hidden_size = pare["embedding_width"] if hidden_size is None else hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_attention_heads if num_key_value_heads is None else num_key_value_heads
        # The original width's share, since the sliced one says nothing about heads.
        self.head_dim = pare["norm_width"] // num_attention_heads if head_dim is None else head_dim
        self.hidden_act = hidden_act
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.rms_norm_eps = rms_norm_eps
        self.use_cache = use_cache
        self.attention_dropout = attention_dropout
        # One spelling from here on, the newer: {"rope_type", "rope_theta", ...}; none without rotary embedding.
        if self.rotary_dim:
            rope = dict(rope_parameters or rope_scaling or {})
            rope["rope_type"] = rope.pop("type", None) or rope.get("rope_type") or "default"
            rope["rope_theta"] = float(rope.get("rope_theta") or rope_theta or 10000.0)
            self.rope_parameters = rope
        self._check()
        super().__init__(
            pad_token_id=pad_token_id,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )

    def to_dict(self):
        result = super().to_dict()
        storage = result.pop("storage", None)
        if storage is not None:
            result["quantization_config"] = storage
        return result

    @property
    def rotary_dim(self):
        return self.pare.get("rotary_dim", self.head_dim)

    @property
    def position_rows(self):
        """Rows of the table of learned positions; 0: there is none."""
        if not self.pare.get("learned_positions", False):
            return 0
        return self.max_position_embeddings + self.pare.get("position_offset", 0)

    @property
    def stream_width(self):
        """Width of the residual stream that enters the first layer."""
        if self.pare.get("embedding_transform", False):
            return self.pare["layers"][0]["input_width"]
        return self.pare["embedding_width"]

    @property
    def head_width(self):
        """Columns of the head."""
        layers = self.pare["layers"]
        ends = self.tie_word_embeddings or self.pare.get("embedding_transform", False)
        if (self.pare.get("head_transform", False) and ends) or not layers:
            return self.pare["embedding_width"]
        return layers[-1]["output_width"]

    def has_bias(self, linear):
        return bool(self.pare.get("biases", {}).get(linear, False))

    def _check(self):
        layers = self.pare["layers"]
        if len(layers) != self.num_hidden_layers:
            raise ValueError(
                f"pare.layers has {len(layers)} entries, num_hidden_layers is {self.num_hidden_layers}"
            )
        unknown = set(self.pare.get("biases", {})) - set(_BIASES)
        if unknown:
            raise ValueError(f"pare.biases names unknown linears: {sorted(unknown)}")
        for key, choices in _CHOICES.items():
            if self.pare.get(key, choices[0]) not in choices:
                raise ValueError(f"pare.{key} is '{self.pare[key]}', expected one of {choices}")
        if self.pare.get("parallel", False) and self.pare.get("norm_place", "input") != "input":
            raise ValueError("norms behind the branches of parallel layers are not supported")
        if self.rotary_dim:
            kind = self.rope_parameters["rope_type"]
            if kind not in _ROPE_KEYS:
                raise ValueError(f"rope type '{kind}' is not supported")
            if missing := [key for key in _ROPE_KEYS[kind] if key not in self.rope_parameters]:
                raise ValueError(f"the rope parameters of type '{kind}' lack {missing}")
        width = self.stream_width
        for i, layer in enumerate(layers):
            missing = [key for key in _LAYER_WIDTHS if key not in layer]
            if missing:
                raise ValueError(f"pare.layers[{i}] lacks {missing}")
            if layer["input_width"] != width:
                raise ValueError(
                    f"pare.layers[{i}].input_width is {layer['input_width']}, before it stand {width}"
                )
            for skip, before, after in (
                ("attention_skip", layer["input_width"], layer["attention_output_width"]),
                ("mlp_skip", layer["attention_output_width"], layer["output_width"]),
            ):
                if not layer.get(skip, False) and before != after:
                    raise ValueError(
                        f"pare.layers[{i}] changes width from {before} to {after} without {skip}"
                    )
            if layer.get("key_head_dim", self.head_dim) != self.head_dim:
                raise ValueError(f"pare.layers[{i}].key_head_dim differs from head_dim: not supported")
            width = layer["output_width"]
