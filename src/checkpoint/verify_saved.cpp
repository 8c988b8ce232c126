#include "checkpoint/verify_saved.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/parallel.h"
#include "base/rng.h"
#include "checkpoint/load.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

constexpr int64_t kProbeTokens = 32;
// Bound of equality: files keep numbers of the configuration (the rotary base, epsilon) in f32.
constexpr double kSameModel = 1e-5;
constexpr double kMargin = 4.0;

std::vector<int32_t> probe_tokens(const ModelConfig& config) {
  Rng rng(1);
  std::vector<int32_t> tokens(static_cast<size_t>(std::min(kProbeTokens, config.max_positions)));
  for (int32_t& token : tokens)
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
  return tokens;
}

using MatrixKey = std::pair<Role, int64_t>;

std::map<MatrixKey, const Weight*> matrices_of(const Model& model) {
  std::map<MatrixKey, const Weight*> found;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        found[{place.role, place.block}] = &weight;
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  return found;
}

// Returns ‖A − B‖ / ‖A‖ (Frobenius); 0 when A is 0.
double rounding_of(const Weight& a, const Weight& b) {
  constexpr int64_t kRows = 64;
  const int64_t chunks = (a.rows + kRows - 1) / kRows;
  std::vector<double> norms(static_cast<size_t>(chunks));
  std::vector<double> errors(static_cast<size_t>(chunks));
  parallel_for(chunks, [&](int64_t chunk) {
    std::vector<float> x(static_cast<size_t>(a.cols));
    std::vector<float> y(static_cast<size_t>(a.cols));
    for (int64_t r = chunk * kRows; r < std::min(a.rows, (chunk + 1) * kRows); ++r) {
      decode_row(a, r, x.data());
      decode_row(b, r, y.data());
      for (size_t c = 0; c < x.size(); ++c) {
        const double d = static_cast<double>(x[c]) - y[c];
        norms[static_cast<size_t>(chunk)] += static_cast<double>(x[c]) * x[c];
        errors[static_cast<size_t>(chunk)] += d * d;
      }
    }
  });
  double norm = 0.0;
  double error = 0.0;
  for (const double v : norms) norm += v;
  for (const double v : errors) error += v;
  return norm > 0.0 ? std::sqrt(error / norm) : std::sqrt(error);
}

// Throws if a written weight is not finite: a finite value may be too large for its new type.
void check_written_finite(const Model& model, const Model& saved, const std::filesystem::path& written) {
  try {
    check_finite(saved);
  } catch (const Error& error) {
    check_finite(model);
    fail(error.code(),
         "{}: {}: values of the model are too large for their new type (f16, and the scales of q8_0 and "
         "q4_0, end "
         "at 65504): bf16 and f32 hold them",
         written.string(), error.what());
  }
}

}  // namespace

WeightEdit rounded_like(const Model& saved) {
  std::map<MatrixKey, WeightFormat> formats;
  for (const auto& [key, weight] : matrices_of(saved)) formats[key] = weight->format.in(kDense);
  return [formats = std::move(formats)](const TensorPlace& place, const Weight& weight) {
    const WeightFormat format = formats.at({place.role, place.block});
    return weight.format.in(kDense) == format ? weight : to_format(weight, format, {});
  };
}

SavedCheck verify_saved(const Model& model, const std::filesystem::path& written) {
  const Model saved = load_model(written);
  check_written_finite(model, saved, written);
  SavedCheck check;
  check.size = model_size(saved);
  const auto before = matrices_of(model);
  const auto after = matrices_of(saved);
  double squares = 0.0;
  bool changed = false;
  for (const auto& [key, weight] : before) {
    const auto it = after.find(key);
    if (it == after.end() || it->second->rows != weight->rows || it->second->cols != weight->cols)
      fail(ErrorCode::kNumeric, "{}: {} was not written as it is", written.string(), role_name(key.first));
    if (it->second->format.in(kDense) == weight->format.in(kDense)) continue;
    const double rounding = rounding_of(*weight, *it->second);
    release_pages(*weight);
    release_pages(*it->second);
    changed = changed || rounding > 0.0;
    check.rounding = std::max(check.rounding, rounding);
    squares += rounding * rounding;
  }
  const std::vector<int32_t> tokens = probe_tokens(model.config);
  const Matrix<float> got = streamed_logits(saved, tokens);
  const Matrix<float> meant = streamed_logits(model, tokens, rounded_like(saved));
  const double wrong = relative_difference(meant.view(), got.view());
  if (!(wrong <= kSameModel))
    fail(ErrorCode::kNumeric, "{}: the logits differ by {:.2e} from what was to be written (at most {:.0e})",
         written.string(), wrong, kSameModel);
  check.difference = wrong;
  check.allowed = kSameModel;
  if (!changed) return check;
  check.difference = relative_difference(streamed_logits(model, tokens).view(), got.view());
  check.allowed = kSameModel + kMargin * std::sqrt(squares);
  if (!(check.difference <= check.allowed))
    fail(ErrorCode::kNumeric, "{}: the type changes the logits by {:.2e}, its rounding explains {:.2e}",
         written.string(), check.difference, check.allowed);
  return check;
}

}  // namespace pare
