#include "report/inspection.h"

#include <initializer_list>
#include <optional>

#include "checkpoint/disagreements.h"
#include "checkpoint/load.h"
#include "kernels/backend.h"
#include "model/visit.h"
#include "tensor/value_pattern.h"

namespace pare {
namespace {

std::vector<BlockRange> collapse_blocks(const ModelConfig& config) {
  std::vector<BlockRange> ranges;
  for (size_t b = 0; b < config.blocks.size(); ++b) {
    const auto index = static_cast<int64_t>(b);
    if (ranges.empty() || !(ranges.back().shape == config.blocks[b]))
      ranges.push_back({index, index, config.blocks[b]});
    ranges.back().last = index;
  }
  return ranges;
}

// Patterns that kernels find in the values of weights: one pattern for all that are packed together.
using Patterns = std::map<const std::byte*, Pattern>;

Patterns patterns_of(const Model& model) {
  Patterns patterns;
  const auto add = [&](std::initializer_list<const Weight*> weights) {
    std::vector<Weight> stack;
    for (const Weight* weight : weights)
      if (!weight->empty()) stack.push_back(*weight);
    if (stack.empty()) return;
    const Pattern pattern = values_follow(stack, k2of4) ? k2of4 : kDense;
    for (const Weight& weight : stack) {
      patterns[weight.data] = pattern;
      release_pages(weight);
    }
  };
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      add({&stage.skip});
      for (const Branch& branch : stage.branches) {
        if (const auto* a = std::get_if<Attention>(&branch)) {
          add({&a->q.weight, &a->k.weight, &a->v.weight});
          add({&a->o.weight});
        } else if (const auto* m = std::get_if<Mlp>(&branch)) {
          add({&m->gate.weight, &m->up.weight});
          add({&m->down.weight});
        }
      }
    }
  add({&model.embedding_transform});
  add({&model.head_transform});
  add({&model.head_weight()});
  return patterns;
}

void add_linear(std::vector<LinearGroup>& groups, std::string_view role, const Weight& weight,
                Pattern pattern) {
  const auto kernel = [&](ComputeType compute) {
    return std::string(default_backend().linear_kernel(weight, pattern, compute));
  };
  const std::string stored = kernel(ComputeType::kStored);
  for (LinearGroup& group : groups) {
    if (group.role != role || group.out != weight.rows || group.in != weight.cols ||
        group.pattern != pattern || group.kernel_stored != stored)
      continue;
    ++group.count;
    return;
  }
  groups.push_back({std::string(role), weight.rows, weight.cols, pattern, 1, kernel(ComputeType::kF32),
                    kernel(ComputeType::kBF16), kernel(ComputeType::kInt8), stored});
}

// Opens the tokenizer, and describes it or why there is none.
std::optional<Tokenizer> open_tokenizer(const std::string& path, std::string& description) {
  try {
    Tokenizer tokenizer = load_tokenizer(path);
    description = fmt::format("{} BPE, {} tokens",
                              is_byte_level(tokenizer.spec().pre_tokenizer) ? "byte-level" : "SentencePiece",
                              tokenizer.vocab_size());
    return tokenizer;
  } catch (const Error& error) {
    description = fmt::format("none: {}", error.what());
    return std::nullopt;
  }
}

}  // namespace

Inspection inspect(const std::string& path) {
  const Model model = load_model(path);
  Inspection result;
  result.path = path;
  result.config = model.config;
  result.size = model_size(model);
  result.blocks = collapse_blocks(model.config);
  result.isa = default_backend().detail();
  const std::optional<Tokenizer> tokenizer = open_tokenizer(path, result.tokenizer);
  result.disagreements = disagreements(path, model.config, tokenizer ? &*tokenizer : nullptr);
  const Patterns patterns = patterns_of(model);
  result.matrices = matrix_facts(model);
  result.roles = role_sizes(model);
  for (const MatrixFacts& m : result.matrices) {
    EncodingUse& use = result.encodings[format_name(m.format.in(kDense))];
    ++use.matrices;
    use.values += m.stored_values;
    use.bytes += m.bytes;
  }
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (place.role != Role::kEmbedding && place.role != Role::kPositions)
          add_linear(result.linears, role_name(place.role), weight, patterns.at(weight.data));
      },
      [&](const TensorPlace&, const std::vector<float>& values) {
        EncodingUse& use = result.encodings["f32"];
        ++use.vectors;
        use.values += static_cast<int64_t>(values.size());
        use.bytes += static_cast<int64_t>(values.size() * sizeof(float));
      });
  if (model.head.empty())
    add_linear(result.linears, role_name(Role::kHead), model.head_weight(),
               patterns.at(model.head_weight().data));
  return result;
}

}  // namespace pare
