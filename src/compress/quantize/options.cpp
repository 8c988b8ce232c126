#include "compress/quantize/options.h"

#include "compress/calibrate/input_group.h"
#include "compress/calibrate/selection.h"
#include "compress/pass_options.h"
#include "io/gguf.h"
#include "model/visit.h"

namespace pare {

const std::map<std::string, RoundingMethod> kRoundingWords = {{"nearest", RoundingMethod::kNearest},
                                                              {"weighted", RoundingMethod::kWeighted},
                                                              {"feedback", RoundingMethod::kFeedback}};

const std::map<std::string, TokenWeights> kTokenWeightsWords = {{"none", TokenWeights::kNone},
                                                                {"loss", TokenWeights::kLoss}};

const std::map<std::string, Loadable> kLoadableWords = {{"pare", Loadable::kPare},
                                                        {"llama.cpp", Loadable::kGguf}};

std::optional<int64_t> FormatBudget::most_bytes(const Model& original) const {
  if (!ratio) return bytes;
  const int64_t whole = model_size(original).dense_parameters * row_bytes(Encoding::kBF16, 1);
  return static_cast<int64_t>(*ratio * static_cast<double>(whole));
}

namespace {

void validate_budget(const FormatBudget& budget) {
  const int limits = (budget.bytes ? 1 : 0) + (budget.ratio ? 1 : 0) + (budget.decode ? 1 : 0);
  if (limits > 1)
    fail(ErrorCode::kUsage, "only one of `target_bytes`, `target_ratio` and `target_decode` may be given");
  if (limits == 0)
    fail(ErrorCode::kUsage,
         "`loadable` and `formats` need `target_bytes`, `target_ratio` or `target_decode`");
  if (budget.ratio && !(*budget.ratio > 0.0 && *budget.ratio <= 1.0))
    fail(ErrorCode::kUsage, "`target_ratio` is {}, expected a share above 0, at most 1", *budget.ratio);
  constexpr double kFastest = 1e9;  // a token takes a nanosecond
  if (budget.decode && !(*budget.decode > 0.0 && *budget.decode <= kFastest))
    fail(ErrorCode::kUsage, "`target_decode` is {}, expected more than 0 tokens a second, at most {}",
         *budget.decode, kFastest);
  if (budget.loadable == Loadable::kGguf)
    for (const Encoding format : budget.formats)
      if (!has_gguf_type(format))
        fail(ErrorCode::kUsage, "`formats` names {}, which `loadable llama.cpp` has no type for",
             encoding_info(format).name);
}

}  // namespace

void validate(const QuantizeOptions& o) {
  validate(static_cast<const LinearCalibrationOptions&>(o));
  if (o.sweeps < 0) fail(ErrorCode::kUsage, "`sweeps` is {}, expected 0 or more", o.sweeps);
  if (o.keep_embedding && o.embedding) fail(ErrorCode::kUsage, "`keep_embedding` excludes `embedding`");
  if (o.budget) validate_budget(*o.budget);
  Selection(o.targets, o.ignore);
}

void require_applicable(const Model& model, const QuantizeOptions& options) {
  const Selection selection(options.targets, options.ignore);
  bool any = false;
  const auto blocks = static_cast<int64_t>(model.blocks.size());
  const auto require = [&](const QuantizeScheme& scheme, Role role, int64_t block, const Weight& weight,
                           std::string_view advice) {
    if (options.budget) return;
    const Encoding encoding = scheme.encoding_of(role, block, blocks, weight.cols);
    if (const std::string reason = misfit(encoding, weight.cols); !reason.empty())
      fail(ErrorCode::kInvalid, "{} {}; {}", linear_name(block, role), reason, advice);
  };
  for (int64_t b = 0; b < blocks; ++b)
    for (const Stage& stage : model.blocks[static_cast<size_t>(b)].stages)
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        if (!selection.selects(model.config, b, role)) return;
        any = true;
        require(
            options.format, role, b, linear.weight,
            linear.weight.cols % 32 == 0
                ? "a format with blocks of 32 values fits, and `ignore` leaves it as it is"
                : "slicing with `round_interval` 32 gives widths that fit, and `ignore` leaves it as it is");
      });
  const std::optional<QuantizeScheme> table = options.table_format();
  if (!any && !table)
    fail(ErrorCode::kInvalid, "`targets`, `ignore` and `keep_embedding` leave nothing to work on");
  if (!table) return;
  constexpr std::string_view kAdvice = "`embedding` gives it another format, `keep_embedding` none";
  require(*table, Role::kEmbedding, -1, model.embedding, kAdvice);
  if (!model.head.empty()) require(*table, Role::kHead, -1, model.head, kAdvice);
}

Json to_json(const QuantizeOptions& o) {
  Json json = {{"method", name_of(kRoundingWords, o.method)},
               {"weights", name_of(kTokenWeightsWords, o.weights)},
               {"sequential", o.sequential},
               {"match", name_of(kMatchWords, o.match)},
               {"damping", o.damping},
               {"targets", o.targets},
               {"ignore", o.ignore}};
  if (o.budget) {
    if (o.budget->bytes) json["target_bytes"] = *o.budget->bytes;
    if (o.budget->ratio) json["target_ratio"] = *o.budget->ratio;
    if (o.budget->decode) json["target_decode"] = *o.budget->decode;
    json["loadable"] = name_of(kLoadableWords, o.budget->loadable);
    json["formats"] = Json::array();
    for (const Encoding format : o.budget->formats) json["formats"].push_back(encoding_info(format).name);
    json["keep_embedding"] = o.keep_embedding;
  } else {
    json["format"] = o.format.name();
    json["embedding"] = o.table_format() ? o.table_format()->name() : "same";
  }
  if (o.match == MatchOutput::kModel) json["match_damping"] = o.match_damping;
  if (o.method == RoundingMethod::kFeedback) json["sweeps"] = o.sweeps;
  return json;
}

}  // namespace pare
