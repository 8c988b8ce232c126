#include "compress/quantize/options.h"

#include <cmath>

#include "compress/calibrate/input_group.h"
#include "compress/calibrate/selection.h"
#include "compress/pass_options.h"
#include "model/visit.h"
#include "tensor/row_grid.h"

namespace pare {

const std::map<std::string, RoundingMethod> kRoundingWords = {{"nearest", RoundingMethod::kNearest},
                                                              {"weighted", RoundingMethod::kWeighted},
                                                              {"feedback", RoundingMethod::kFeedback}};

std::map<std::string, Encoding> rounded_encodings() {
  std::map<std::string, Encoding> encodings;
  for (const Encoding encoding : all_encodings())
    if (can_round_to(encoding)) encodings[std::string(encoding_info(encoding).name)] = encoding;
  return encodings;
}

void validate(const QuantizeOptions& o) {
  validate(static_cast<const LinearCalibrationOptions&>(o));
  PARE_CHECK(can_round_to(o.format) && (!o.embedding || can_round_to(*o.embedding)));
  if (o.sweeps < 0) fail(ErrorCode::kUsage, "`sweeps` is {}, expected 0 or more", o.sweeps);
  if (o.keep_embedding && o.embedding) fail(ErrorCode::kUsage, "`keep_embedding` excludes `embedding`");
  Selection(o.targets, o.ignore);
}

void require_applicable(const Model& model, const QuantizeOptions& options) {
  const Selection selection(options.targets, options.ignore);
  bool any = false;
  const auto require = [](const std::string& name, const Weight& weight, Encoding format,
                          std::string_view advice) {
    if (const std::string reason = misfit(format, weight.cols); !reason.empty())
      fail(ErrorCode::kInvalid, "{} {}; {}", name, reason, advice);
  };
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages)
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        const auto block = static_cast<int64_t>(b);
        if (!selection.selects(model.config, block, role)) return;
        any = true;
        require(linear_name(block, role), linear.weight, options.format,
                "a format with blocks of 32 values fits more widths, and `ignore` leaves it as it is");
      });
  const std::optional<Encoding> table = options.table_format();
  if (!any && !table)
    fail(ErrorCode::kInvalid, "`targets`, `ignore` and `keep_embedding` leave nothing to work on");
  if (!table) return;
  constexpr std::string_view kAdvice = "`embedding` gives it another format, `keep_embedding` none";
  require("the embedding", model.embedding, *table, kAdvice);
  if (!model.head.empty()) require("the head", model.head, *table, kAdvice);
}

Json to_json(const QuantizeOptions& o) {
  Json json = {{"format", encoding_info(o.format).name},
               {"embedding", o.table_format() ? encoding_info(*o.table_format()).name : "same"},
               {"method", name_of(kRoundingWords, o.method)},
               {"sequential", o.sequential},
               {"match", name_of(kMatchWords, o.match)},
               {"damping", o.damping},
               {"targets", o.targets},
               {"ignore", o.ignore}};
  if (o.match == MatchOutput::kModel) json["match_damping"] = o.match_damping;
  if (o.method == RoundingMethod::kFeedback) json["sweeps"] = o.sweeps;
  return json;
}

}  // namespace pare
