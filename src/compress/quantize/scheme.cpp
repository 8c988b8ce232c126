#include "compress/quantize/scheme.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/error.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

struct Mixture {
  const char* name;
  Encoding base;
  Encoding rich;
};
constexpr Mixture kMixtures[] = {{"q3_k_m", Encoding::kQ3_K, Encoding::kQ5_K},
                                 {"q4_k_m", Encoding::kQ4_K, Encoding::kQ6_K},
                                 {"q5_k_m", Encoding::kQ5_K, Encoding::kQ6_K}};

// Returns the encoding with blocks of 32 that takes the place of a K-quant.
Encoding narrow(Encoding encoding) {
  switch (encoding) {
    case Encoding::kQ5_K:
      return Encoding::kQ5_0;
    case Encoding::kQ6_K:
      return Encoding::kQ8_0;
    default:
      return Encoding::kIQ4_NL;
  }
}

// Layers in which llama.cpp gives v and down more bits: the first eighth, the last one, every third between.
bool is_rich_layer(int64_t block, int64_t blocks) {
  return block < blocks / 8 || block >= 7 * blocks / 8 || (block - blocks / 8) % 3 == 2;
}

}  // namespace

QuantizeScheme::QuantizeScheme(const std::string& name) : name_(name) {
  const auto* mixture = std::find_if(std::begin(kMixtures), std::end(kMixtures),
                                     [&](const Mixture& m) { return name == m.name; });
  if (mixture != std::end(kMixtures)) {
    base_ = mixture->base;
    rich_ = mixture->rich;
    return;
  }
  const std::optional<Encoding> encoding = find_encoding(name);
  if (!encoding || !can_round_to(*encoding)) fail(ErrorCode::kUsage, "no weights are rounded to '{}'", name);
  base_ = rich_ = *encoding;
}

QuantizeScheme::QuantizeScheme(std::map<MatrixName, Encoding> chosen)
    : name_("chosen"), base_(Encoding::kBF16), rich_(Encoding::kBF16), chosen_(std::move(chosen)) {}

std::vector<std::string> QuantizeScheme::names() {
  std::vector<std::string> names;
  for (const Encoding encoding : all_encodings())
    if (can_round_to(encoding)) names.emplace_back(encoding_info(encoding).name);
  for (const Mixture& mixture : kMixtures) names.emplace_back(mixture.name);
  std::sort(names.begin(), names.end());
  return names;
}

Encoding QuantizeScheme::encoding_of(Role role, int64_t block, int64_t blocks, int64_t cols) const {
  if (!chosen_.empty()) return chosen_.at({role, block});
  if (!is_mixture()) return base_;
  const bool sensitive = role == Role::kValue || role == Role::kDown;
  const bool rich = block < 0 || (sensitive && is_rich_layer(block, blocks));
  const Encoding wanted = rich ? rich_ : base_;
  return cols % encoding_info(wanted).block_values == 0 ? wanted : narrow(wanted);
}

std::vector<Encoding> QuantizeScheme::encodings() const {
  if (!chosen_.empty()) {
    std::set<Encoding> distinct;
    for (const auto& [name, encoding] : chosen_) distinct.insert(encoding);
    return {distinct.begin(), distinct.end()};
  }
  if (!is_mixture()) return {base_};
  return {base_, rich_, narrow(base_), narrow(rich_)};
}

}  // namespace pare
