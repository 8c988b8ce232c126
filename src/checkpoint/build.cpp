#include "checkpoint/build.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "io/checks.h"
#include "model/visit.h"

namespace pare {
namespace {

// Returns whether two matrices of one shape hold the same values; they may be of different types.
bool same_values(const Weight& a, const Weight& b) {
  std::vector<float> row(static_cast<size_t>(a.cols));
  std::vector<float> other(row.size());
  for (int64_t r = 0; r < a.rows; ++r) {
    decode_row(a, r, row.data());
    decode_row(b, r, other.data());
    if (row != other) return false;
  }
  return true;
}

// Prefixes of all names of models that were saved inside a wrapper: of torch.compile, and of
// data-parallel training; one may be inside the other.
constexpr std::string_view kWrappers[] = {"_orig_mod.", "module."};

bool all_start_with(const TensorMap& tensors, std::string_view prefix) {
  return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(),
                                         [&](const auto& t) { return t.first.starts_with(prefix); });
}

std::string wrapper_prefix(const TensorMap& tensors) {
  std::string prefix;
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view wrapper : kWrappers)
      if (all_start_with(tensors, prefix + std::string(wrapper))) {
        prefix += wrapper;
        found = true;
      }
  }
  return prefix;
}

// Returns "X." for "X.weight".
std::string module_prefix(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.') + 1); }

class Builder {
 public:
  Builder(const Architecture& architecture, const ModelConfig& config, const TensorSource& source)
      : architecture_(architecture), config_(config), source_(source) {
    if (source.naming != TensorNaming::kHuggingFace) return;
    wrapper_ = wrapper_prefix(source.tensors);
    // Models without their head, and older checkpoints, leave the first part of the names out.
    const std::string prefix = wrapper_ + std::string(architecture.optional_prefix);
    const auto has_prefix = [&](const auto& tensor) { return tensor.first.starts_with(prefix); };
    if (std::none_of(source.tensors.begin(), source.tensors.end(), has_prefix))
      absent_prefix_ = architecture.optional_prefix;
  }

  Model build() {
    Model model;
    model.config = config_;
    model.embedding = matrix({Role::kEmbedding, -1, false}, config_.vocab_size, config_.embedding_width);
    if (config_.embedding_transform)
      model.embedding_transform =
          matrix({Role::kEmbeddingTransform, -1, false}, config_.stream_width(), config_.embedding_width);
    if (config_.learned_positions)
      model.positions = matrix({Role::kPositions, -1, false}, config_.position_offset + config_.max_positions,
                               config_.stream_width());
    for (size_t b = 0; b < config_.blocks.size(); ++b)
      model.blocks.push_back(build_block(static_cast<int64_t>(b), config_.blocks[b]));
    const int64_t width = config_.output_width();
    model.final_norm.kind = NormKind::kNone;
    if (config_.final_norm) model.final_norm = norm(Role::kFinalNorm, -1, width);
    if (config_.head_transform)
      model.head_transform = matrix({Role::kHeadTransform, -1, false}, config_.head_width(), width);
    if (!config_.tied) require_head();
    if (!config_.tied)
      model.head = matrix({Role::kHead, -1, false}, config_.vocab_size, config_.head_width());
    else
      model.head = head_of_tied(model.embedding);
    model.config.tied = model.head.empty();
    if (config_.head_bias) model.head_bias = as_vector(find({Role::kHead, -1, true}), config_.vocab_size);
    check_surplus();
    return model;
  }

 private:
  std::string name(const TensorPlace& place) const {
    if (source_.naming == TensorNaming::kGguf) return gguf_name(architecture_, place);
    std::string full = hf_name(architecture_, place);
    if (!absent_prefix_.empty() && full.starts_with(absent_prefix_)) full.erase(0, absent_prefix_.size());
    return wrapper_ + full;
  }

  const TensorInfo& find(const TensorPlace& place) {
    const std::string full = name(place);
    const TensorInfo& tensor = find_tensor(source_.tensors, source_.skipped, full, source_.what);
    used_.insert(full);
    return tensor;
  }

  Weight matrix(const TensorPlace& place, int64_t rows, int64_t cols) {
    const PartSource parts{source_.what, source_.tensors, source_.skipped};
    const std::string full = name(place);
    const Storage& storage = source_.storage;
    Weight weight;
    if (const auto it = storage.packed.find(full); it != storage.packed.end()) {
      weight = packed_matrix(parts, full, rows, cols, it->second, used_);
      packed_.insert(full);
    } else if (storage.format == StorageFormat::kSparse24Bitmask && !source_.tensors.contains(full)) {
      weight = bitmask_matrix(parts, full, rows, cols, used_);
    } else if (storage.format == StorageFormat::kPackQuantized && !source_.tensors.contains(full)) {
      weight = pack_quantized_matrix(parts, full, rows, cols, storage.quantized, used_);
    } else {
      return as_weight(find(place), rows, cols);
    }
    release_pages(weight);  // its mask was read to be checked
    return weight;
  }

  void require_head() const {
    const std::string full = name({Role::kHead, -1, false});
    const bool packed = source_.storage.packed.contains(full);
    if (packed || source_.naming != TensorNaming::kHuggingFace || source_.tensors.contains(full)) return;
    if (std::any_of(source_.tensors.begin(), source_.tensors.end(),
                    [&](const auto& t) { return t.first.starts_with(module_prefix(full)); }))
      return;  // the head is stored in parts, or has a bias alone
    if (std::any_of(source_.skipped.begin(), source_.skipped.end(),
                    [&](const SkippedTensor& t) { return t.name == full; }))
      return;
    fail(ErrorCode::kNotFound,
         "{}: tensor \"{}\" is missing, and config.json does not tie the head to the embedding: a base or "
         "embedding model (transformers' AutoModel) predicts no tokens",
         source_.what, full);
  }

  // A file may hold a head although its config ties it to the embedding, and some training has changed it:
  // transformers (since 5) and llama.cpp then use it. Empty when there is none or it is the embedding again.
  Weight head_of_tied(const Weight& embedding) {
    const TensorPlace place{Role::kHead, -1, false};
    const std::string full = name(place);
    const auto stored = source_.tensors.find(full);
    if (stored == source_.tensors.end() || is_whole_numbers(stored->second.encoding)) return {};
    Weight head = as_weight(find(place));
    if (head.rows != embedding.rows || head.cols != embedding.cols) {
      log_warning("{}: \"{}\" is left out: it is ({}, {}), and the head is tied to the embedding of ({}, {})",
                  source_.what, full, head.rows, head.cols, embedding.rows, embedding.cols);
      return {};
    }
    const bool same = same_values(head, embedding);
    release_pages(head);
    if (same) return {};
    log_warning(
        "{}: \"{}\" differs from the embedding that \"tie_word_embeddings\" would have in its place: it is "
        "used, and written as a head of its own",
        source_.what, full);
    return head;
  }

  // A fused norm is stored as ones because loaders ask for the tensor; it scales nothing and is no parameter.
  std::vector<float> norm_weight(Role role, int64_t block, int64_t width) {
    std::vector<float> weight = as_vector(find({role, block, false}), width);
    if (std::all_of(weight.begin(), weight.end(), [](float w) { return w == 1.0f; })) weight.clear();
    return weight;
  }

  Norm norm(Role role, int64_t block, int64_t width) {
    Norm result{norm_weight(role, block, width), static_cast<double>(config_.norm_width), config_.norm_eps,
                config_.design.norm};
    if (result.kind != NormKind::kLayer) return result;
    result.bias = as_vector(find({role, block, true}), width);
    if (std::all_of(result.bias.begin(), result.bias.end(), [](float b) { return b == 0.0f; }))
      result.bias.clear();
    return result;
  }

  // Reads the norm of queries or keys.
  Norm heads_norm(Role role, int64_t block, int64_t heads) {
    const bool whole = config_.design.query_key_norm == QueryKeyNorm::kWhole;
    const int64_t width = config_.head_dim * (whole ? heads : 1);
    return {norm_weight(role, block, width), static_cast<double>(width), config_.norm_eps, NormKind::kRms};
  }

  Linear linear(Role role, int64_t block, int64_t out, int64_t in, bool bias) {
    Linear result{matrix({role, block, false}, out, in), {}};
    if (bias) result.bias = as_vector(find({role, block, true}), out);
    return result;
  }

  // Reads a query or key linear: GGUF files of some families store a head's rows in interleaved rotary order.
  Linear rotary_linear(Role role, int64_t block, int64_t heads, int64_t in, bool bias) {
    Linear result = linear(role, block, heads * config_.head_dim, in, bias);
    if (source_.naming != TensorNaming::kGguf || !architecture_.gguf_interleaved_rope) return result;
    const std::vector<int64_t> order = rotate_half_order(heads, config_.head_dim);
    result.weight = gather_rows(result.weight, order);
    const std::vector<float> old_bias = result.bias;
    for (size_t i = 0; i < result.bias.size(); ++i) result.bias[i] = old_bias[static_cast<size_t>(order[i])];
    return result;
  }

  Block build_block(int64_t b, const BlockShape& shape) {
    Block block;
    block.stages.resize(config_.design.parallel ? 1 : 2);
    const NormPlace place = config_.design.norm_place;
    for (Stage& stage : block.stages) stage.norm_place = place;
    Stage& attention_stage = block.stages.front();
    Stage& mlp_stage = block.stages.back();
    if (shape.value_head_dim > 0) {
      attention_stage.branches.emplace_back(build_attention(b, shape));
      attention_stage.norm =
          norm(Role::kAttentionNorm, b,
               place == NormPlace::kInput ? shape.input_width : shape.attention_output_width);
    }
    if (shape.attention_skip)
      attention_stage.skip =
          matrix({Role::kAttentionSkip, b, false}, shape.attention_output_width, shape.input_width);
    if (shape.intermediate_size > 0) {
      const int64_t in = config_.design.parallel ? shape.input_width : shape.attention_output_width;
      mlp_stage.branches.emplace_back(build_mlp(b, shape, in));
      if (mlp_stage.branches.size() == 1)
        mlp_stage.norm =
            norm(norm_role(block.stages.size() - 1), b, place == NormPlace::kInput ? in : shape.output_width);
    }
    if (shape.mlp_skip)
      mlp_stage.skip = matrix({Role::kMlpSkip, b, false}, shape.output_width, shape.attention_output_width);
    return block;
  }

  Attention build_attention(int64_t b, const BlockShape& shape) {
    const BiasConfig& bias = config_.bias;
    const int64_t in = shape.input_width;
    Attention a;
    a.heads = config_.heads;
    a.kv_heads = config_.kv_heads;
    a.head_dim = config_.head_dim;
    a.value_head_dim = shape.value_head_dim;
    a.q = rotary_linear(Role::kQuery, b, a.heads, in, bias.q);
    a.k = rotary_linear(Role::kKey, b, a.kv_heads, in, bias.k);
    a.v = linear(Role::kValue, b, a.kv_heads * a.value_head_dim, in, bias.v);
    a.norms = config_.design.query_key_norm;
    if (a.norms != QueryKeyNorm::kNone) {
      PARE_CHECK(source_.naming != TensorNaming::kGguf || !architecture_.gguf_interleaved_rope);
      a.q_norm = heads_norm(Role::kQueryNorm, b, a.heads);
      a.k_norm = heads_norm(Role::kKeyNorm, b, a.kv_heads);
    }
    a.o = linear(Role::kAttentionOutput, b, shape.attention_output_width, a.heads * a.value_head_dim, bias.o);
    return a;
  }

  Mlp build_mlp(int64_t b, const BlockShape& shape, int64_t in) {
    const BiasConfig& bias = config_.bias;
    Mlp m;
    m.activation = config_.design.activation;
    if (config_.design.gated) m.gate = linear(Role::kGate, b, shape.intermediate_size, in, bias.gate);
    m.up = linear(Role::kUp, b, shape.intermediate_size, in, bias.up);
    m.down = linear(Role::kDown, b, shape.output_width, shape.intermediate_size, bias.down);
    return m;
  }

  void check_surplus() const {
    for (const auto& [matrix, format] : source_.storage.packed)
      if (!packed_.contains(matrix))
        fail(ErrorCode::kFormat, "{}: config.json lists \"{}\" as packed, which is no matrix of the model",
             source_.what, printable(matrix));
    std::string surplus;
    for (const auto& [tensor_name, info] : source_.tensors) {
      if (used_.count(tensor_name) != 0) continue;
      if (tensor_name.ends_with(".bias"))
        fail(ErrorCode::kUnsupported, "{}: tensor \"{}\" is a bias that the model's config does not have",
             source_.what, tensor_name);
      if (is_whole_numbers(info.encoding)) continue;
      if (tensor_name.ends_with("rotary_emb.inv_freq") || tensor_name == "rope_freqs.weight" ||
          tensor_name.starts_with("rope_factors_"))
        continue;
      surplus += (surplus.empty() ? "" : ", ") + tensor_name;
    }
    if (!surplus.empty())
      log_warning("tensors that the architecture does not use were left out: {}", surplus);
  }

  const Architecture& architecture_;
  const ModelConfig& config_;
  const TensorSource& source_;
  std::string_view absent_prefix_;
  std::string wrapper_;           // prefix of all names
  std::set<std::string> used_;    // names of tensors
  std::set<std::string> packed_;  // names of matrices
};

}  // namespace

Model build_model(const Architecture& architecture, const ModelConfig& config, const TensorSource& source) {
  return Builder(architecture, config, source).build();
}

std::vector<int64_t> rotate_half_order(int64_t heads, int64_t head_dim) {
  std::vector<int64_t> order(static_cast<size_t>(heads * head_dim));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      order[static_cast<size_t>(h * head_dim + i)] = h * head_dim + 2 * i;
      order[static_cast<size_t>(h * head_dim + head_dim / 2 + i)] = h * head_dim + 2 * i + 1;
    }
  return order;
}

std::vector<int64_t> interleaved_order(int64_t heads, int64_t head_dim) {
  const std::vector<int64_t> forward = rotate_half_order(heads, head_dim);
  std::vector<int64_t> order(forward.size());
  for (size_t i = 0; i < forward.size(); ++i)
    order[static_cast<size_t>(forward[i])] = static_cast<int64_t>(i);
  return order;
}

}  // namespace pare
