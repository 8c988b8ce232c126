#include "inspection.h"

#include <algorithm>
#include <atomic>

#include "base/parallel.h"
#include "kernels/linear.h"
#include "model/load.h"
#include "model/visit.h"

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

int64_t count_zeros(const Weight& weight) {
  constexpr int64_t kRows = 64;
  std::atomic<int64_t> zeros = 0;
  parallel_for((weight.rows + kRows - 1) / kRows, [&](int64_t chunk) {
    std::vector<float> row(static_cast<size_t>(weight.cols));
    int64_t count = 0;
    for (int64_t r = chunk * kRows; r < std::min(weight.rows, (chunk + 1) * kRows); ++r) {
      decode_row(weight, r, row.data());
      count += std::count(row.begin(), row.end(), 0.0f);
    }
    zeros += count;
  });
  return zeros;
}

template <typename Key, typename Value>
Value& entry_of(std::vector<std::pair<Key, Value>>& entries, const Key& key) {
  for (auto& entry : entries)
    if (entry.first == key) return entry.second;
  return entries.emplace_back(key, Value{}).second;
}

void add_linear(std::vector<LinearGroup>& groups, std::string_view role, const Weight& weight) {
  for (LinearGroup& group : groups) {
    if (group.role != role || group.out != weight.rows || group.in != weight.cols) continue;
    ++group.count;
    return;
  }
  const auto kernel = [&](ComputeType compute) {
    return std::string(select_linear({weight.pattern, compute, weight.rows, weight.cols}).name);
  };
  groups.push_back({std::string(role), weight.rows, weight.cols, 1, kernel(ComputeType::kF32),
                    kernel(ComputeType::kBF16), kernel(ComputeType::kInt8)});
}

std::string describe_tokenizer(const std::string& path) {
  try {
    const Tokenizer tokenizer = load_tokenizer(path);
    return fmt::format("{} BPE, {} tokens",
                       is_byte_level(tokenizer.spec().pre_tokenizer) ? "byte-level" : "SentencePiece",
                       tokenizer.vocab_size());
  } catch (const Error& error) {
    return fmt::format("none: {}", error.what());
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
  result.isa = isa_name(active_isa());
  result.tokenizer = describe_tokenizer(path);
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        const std::string role(role_name(place.role));
        EncodingUse& use = result.encodings[std::string(encoding_info(weight.encoding).name)];
        ++use.matrices;
        use.values += weight.values();
        use.bytes += weight.bytes();
        RoleZeros& zeros = entry_of(result.zeros, role);
        zeros.values += weight.values();
        zeros.zeros += count_zeros(weight);
        if (place.role != Role::kEmbedding) add_linear(result.linears, role, weight);
      },
      [&](const TensorPlace&, const std::vector<float>& values) {
        EncodingUse& use = result.encodings["f32"];
        ++use.vectors;
        use.values += static_cast<int64_t>(values.size());
        use.bytes += static_cast<int64_t>(values.size() * sizeof(float));
      });
  if (model.head.empty()) add_linear(result.linears, role_name(Role::kHead), model.head_weight());
  return result;
}

}  // namespace pare
