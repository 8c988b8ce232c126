#include "compress/quantize/decode_times.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "compress/estimate.h"
#include "compress/quantize/round_rows.h"
#include "model/stage_at.h"
#include "model/visit.h"
#include "runtime/kv_cache.h"
#include "runtime/speed.h"

namespace pare {
namespace {

constexpr int64_t kDepth = 512;  // tokens of the context
constexpr int64_t kTokens = 16;  // decoded in a round
constexpr int64_t kRounds = 7;

SpeedOptions options_for(const ModelConfig& config) {
  SpeedOptions options;
  options.decode = std::min(kTokens, config.max_positions / 2);
  options.prefill = options.depth = std::min(kDepth, config.max_positions - options.decode);
  return options;
}

// Decodes several times behind the context; calls begin() before the first time, and visit(seconds a token)
// after each.
template <typename Begin, typename Visit>
void decode_rounds(const PackedModel& model, Begin&& begin, Visit&& visit) {
  const SpeedOptions options = options_for(model.config);
  SpeedTest test(model, options);
  test.prefill();
  begin();
  for (int64_t round = 0; round < kRounds; ++round)
    visit(test.decode() / static_cast<double>(options.decode));
}

int64_t nanoseconds(double seconds) { return std::llround(1e9 * seconds); }

// Returns a matrix that takes as much time as the weight rounded to an encoding.
Weight like_rounded(const Weight& weight, Encoding encoding) {
  if (weight.format == WeightFormat(encoding)) return weight;
  if (is_float(encoding)) return rounded_alone(weight, encoding, {});
  const Weight row = rounded_alone(rows_of(weight, 0, 1), encoding, {});
  const auto stride = static_cast<size_t>(row_bytes(encoding, weight.cols));
  return encoded_weight(encoding, weight.rows, weight.cols, [&](std::byte* bytes) {
    for (int64_t r = 0; r < weight.rows; ++r)
      std::memcpy(bytes + static_cast<size_t>(r) * stride, row.data, stride);
  });
}

// Returns a model that takes as much time as one with these formats.
Model like(const Model& model, const MatrixFormats& formats) {
  Model result = model;
  const auto change = [&](const MatrixName& name, Weight& weight) {
    if (const auto found = formats.find(name); found != formats.end())
      weight = like_rounded(weight, found->second);
  };
  change({Role::kEmbedding, -1}, result.embedding);
  if (!result.head.empty()) change({Role::kHead, -1}, result.head);
  for (size_t s = 0; s < stage_count(result); ++s)
    for_each_linear(stage_at(result, s), [&](Role role, Linear& linear) {
      change({role, block_of_stage(model, s)}, linear.weight);
    });
  return result;
}

struct Part {
  MatrixName name;
  int64_t bytes = 0;
};

// Returns the matrices in each of the packed model's linears; none in those that no unit can be.
std::vector<std::vector<Part>> parts_of(const Model& model, const PackedModel& packed) {
  std::map<const PackedLinear*, std::vector<Part>> parts;
  parts[packed.head.logits.get()] = {{{model.head_role(), -1}, model.head_weight().bytes()}};
  for (size_t s = 0; s < stage_count(model); ++s) {
    const Stage& stage = stage_at(model, s);
    const auto put = [&](const std::unique_ptr<PackedLinear>& linear, Role role, const Linear& own) {
      if (!own.weight.empty())
        parts[linear.get()].push_back({{role, block_of_stage(model, s)}, own.weight.bytes()});
    };
    for (size_t b = 0; b < stage.branches.size(); ++b) {
      const auto& branch = packed.stages[s].branches[b];
      if (const auto* attention = std::get_if<Attention>(&stage.branches[b])) {
        const auto& linears = std::get<PackedAttention>(branch);
        put(linears.qkv, Role::kQuery, attention->q);
        put(linears.qkv, Role::kKey, attention->k);
        put(linears.qkv, Role::kValue, attention->v);
        put(linears.o, Role::kAttentionOutput, attention->o);
      } else {
        const auto& mlp = std::get<Mlp>(stage.branches[b]);
        const auto& linears = std::get<PackedMlp>(branch);
        put(linears.gate_up, Role::kGate, mlp.gate);
        put(linears.gate_up, Role::kUp, mlp.up);
        put(linears.down, Role::kDown, mlp.down);
      }
    }
  }
  std::vector<std::vector<Part>> in_order;
  for (const PackedLinear* linear : packed.linears()) in_order.push_back(parts[linear]);
  return in_order;
}

}  // namespace

double decode_seconds(const Model& model) {
  const PackedModel packed(model, ComputeType::kStored);
  std::vector<double> rounds;
  decode_rounds(
      packed, [] {}, [&](double seconds) { rounds.push_back(seconds); });
  return median(std::move(rounds));
}

int64_t decode_cache_bytes(const Model& model) {
  return (kDepth + kTokens) * cache_bytes_of_token(model.config, ComputeType::kStored);
}

DecodeTimes::DecodeTimes(const Model& model, const std::vector<RoundingUnit>& units,
                         const PassProgress& progress)
    : model_(model), rest_(std::numeric_limits<int64_t>::max()) {
  const Stopwatch watch;
  std::set<Encoding> encodings;
  for (const RoundingUnit& unit : units) encodings.insert(unit.options.begin(), unit.options.end());
  const auto steps = static_cast<int64_t>(encodings.size());
  int64_t done = 0;
  for (const Encoding encoding : encodings) {
    if (progress) progress("timing formats", done++, steps);
    MatrixFormats formats;
    for (const RoundingUnit& unit : units) {
      const bool has = std::find(unit.options.begin(), unit.options.end(), encoding) != unit.options.end();
      formats[unit.name] = has ? encoding : unit.options.front();
    }
    add(formats);
  }
  if (progress) progress("timing formats", steps, steps);
  taken_ = watch.seconds();
}

void DecodeTimes::add(const MatrixFormats& formats) {
  const Model timed = like(model_, formats);
  PackedModel packed(timed, ComputeType::kStored);
  const std::vector<std::vector<Part>> parts = parts_of(timed, packed);
  std::vector<double> least(parts.size(), std::numeric_limits<double>::infinity());
  double rest = std::numeric_limits<double>::infinity();
  const auto tokens = static_cast<double>(options_for(model_.config).decode);
  LinearClock clock(packed);
  const auto begin = [&] { clock.take(); };
  decode_rounds(packed, begin, [&](double seconds) {
    const std::vector<double> linears = clock.take();
    for (size_t i = 0; i < linears.size(); ++i) {
      least[i] = std::min(least[i], linears[i] / tokens);
      seconds -= linears[i] / tokens;
    }
    rest = std::min(rest, seconds);
  });
  for (size_t i = 0; i < parts.size(); ++i) {
    int64_t bytes = 0;
    for (const Part& part : parts[i]) bytes += part.bytes;
    double others = least[i];
    for (const Part& part : parts[i]) {
      const auto format = formats.find(part.name);
      if (format == formats.end()) continue;
      const double own = least[i] * static_cast<double>(part.bytes) / static_cast<double>(bytes);
      others -= own;
      int64_t& known = times_.emplace(std::pair(part.name, format->second), nanoseconds(own)).first->second;
      known = std::min(known, nanoseconds(own));
    }
    rest += others;
  }
  rest_ = std::min(rest_, nanoseconds(rest));
}

int64_t DecodeTimes::of(const MatrixName& name, Encoding encoding) const {
  const auto found = times_.find({name, encoding});
  return found == times_.end() ? 0 : found->second;
}

int64_t DecodeTimes::measured(const MatrixFormats& formats) const {
  return nanoseconds(decode_seconds(like(model_, formats)));
}

}  // namespace pare
