#include "compress/quantize/quantize_pass.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "compress/calibrate/calibration_cost.h"
#include "compress/calibrate/linear_solver.h"
#include "compress/calibrate/selection.h"
#include "compress/quantize/format_choice.h"
#include "compress/quantize/quantize.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

class QuantizePass final : public Pass {
 public:
  explicit QuantizePass(QuantizeOptions options) : options_(std::move(options)) { validate(options_); }

  std::string name() const override { return "quantize"; }
  void require_applicable(const Model& model) const override { pare::require_applicable(model, options_); }
  std::vector<Encoding> codes(const Model& model) const override {
    if (options_.budget) {
      std::set<Encoding> chosen_from;
      for (const RoundingUnit& unit : rounding_units(model, options_))
        for (const Encoding encoding : unit.options)
          if (!is_float(encoding)) chosen_from.insert(encoding);
      return {chosen_from.begin(), chosen_from.end()};
    }
    std::vector<Encoding> encodings = options_.format.encodings();
    if (const std::optional<QuantizeScheme> table = options_.table_format())
      for (const Encoding encoding : table->encodings()) encodings.push_back(encoding);
    return encodings;
  }
  std::string no_gguf(const Model& model) const override {
    std::string reason = no_gguf_type(codes(model));
    if (!reason.empty() && options_.budget)
      reason += "; `loadable llama.cpp` chooses from the types that it has";
    return reason;
  }
  std::string no_ranks() const override {
    return options_.budget && options_.budget->decode ? "`target_decode`" : "";
  }
  std::optional<int64_t> most_bytes(const Model& original) const override {
    return options_.budget ? options_.budget->most_bytes(original) : std::nullopt;
  }
  void require_fits(const Model& model, const WrittenBytes& written_bytes) const override {
    if (!options_.budget) return;
    if (const std::optional<int64_t> most = options_.budget->most_bytes(model))
      return require_bytes(model, options_, *most, written_bytes);
    times_.emplace(model, rounding_units(model, options_));
    require_decode(model, options_, *times_);
  }
  int64_t needs_width_step() const override {
    const auto block_of = [](Encoding encoding) { return encoding_info(encoding).block_values; };
    const std::vector<Encoding> encodings = options_.format.encodings();
    return block_of(*std::min_element(encodings.begin(), encodings.end(),
                                      [&](Encoding a, Encoding b) { return block_of(a) < block_of(b); }));
  }
  bool loses_pattern(const Model& model, int64_t block, Role role, Pattern) const override {
    return Selection(options_.targets, options_.ignore).selects(model.config, block, role);
  }
  Json options() const override { return to_json(options_); }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    // Solving takes the Gram matrix and its factor in f64, where the model is matched another factor and the
    // wanted outputs, the matrix in f32; and of the rows that are solved at once five copies and their codes.
    const int64_t width = calibration_widths(model).widest;
    const int64_t matrices = options_.match == MatchOutput::kModel ? 4 : 2;
    const int64_t solving = width * width * (8 * matrices + 4) + 6 * kRowsAtOnce * width * 8;
    const int64_t weighing =
        options_.weights == TokenWeights::kLoss ? loss_weights_bytes(model, plan.seqlen) : 0;
    Needs needs = calibration_needs(model, options_, plan, dtype, std::max(solving, weighing));
    if (options_.budget) needs.memory = std::max(needs.memory, choosing_bytes(model, options_, plan));
    return needs;
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    QuantizeOptions linears = options_;
    linears.keep_embedding = true;
    linears.embedding.reset();
    if (options_.budget) {
      linears.format = smallest_formats(model, options_);
      linears.budget.reset();
    }
    const LayerSeconds layer = seconds_of_layer(
        model, plan, [&](Model& first, const CalibrationSet& set, WorkArea& area, Report& report) {
          return quantize(first, set, linears, area, report);
        });
    double total = layer.of_model(model, plan);
    if (options_.budget) total += choosing_seconds(model, options_, plan) + (times_ ? times_->taken() : 0.0);
    if (!options_.table_format()) return total;
    // Reading the head's input takes a walk without solving, rounding the tables as long as their values take
    // in the layers.
    const double values = static_cast<double>(model.embedding.values() + model.head.values());
    const double of_layers = static_cast<double>(model_size(model).dense_parameters) - values;
    return total + layer.sequence * static_cast<double>(model.blocks.size() * plan.own_samples()) / 3.0 +
           layer.fixed * static_cast<double>(model.blocks.size()) * values / of_layers;
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const override {
    if (!options_.budget)
      return quantize(model, context.set, options_, context.area, context.report, context.progress);
    QuantizeOptions chosen = options_;
    Json summary;
    chosen.format = choose_formats(model, options_, context, std::exchange(times_, std::nullopt), summary);
    auto editor = quantize(model, context.set, chosen, context.area, context.report, context.progress);
    context.report.recipe["budget"] = std::move(summary);
    return editor;
  }
  void measure(const Model& made, Json& recipe, Report& report) const override {
    if (!options_.budget || !options_.budget->decode) return;
    constexpr double kTolerance = 0.03;  // as much as one measurement may differ from the next
    const double wanted = *options_.budget->decode;
    const double decode = 1.0 / decode_seconds(made);
    recipe["budget"]["measured_decode"] = decode;
    const std::string text =
        fmt::format("the result decodes {:.2f} tok/s, and {:.2f} are wanted", decode, wanted);
    if (decode < wanted * (1.0 - kTolerance)) return report.fallbacks.push_back(text);
    log_info("{}", text);
  }
  // Embedding and head are rounded for the model that the passes before have made.
  bool can_join() const override { return false; }

 private:
  QuantizeOptions options_;
  // Times of the model that the run begins with, from require_fits() to prepare().
  mutable std::optional<DecodeTimes> times_;
};

// Names of the formats that a budget may choose from.
std::vector<std::string> chosen_formats() {
  std::vector<std::string> names = {std::string(encoding_info(Encoding::kBF16).name)};
  for (const Encoding encoding : all_encodings())
    if (can_round_to(encoding)) names.emplace_back(encoding_info(encoding).name);
  return names;
}

std::vector<PassOption> quantize_options() {
  using enum OptionKind;
  const std::vector<std::string> names = QuantizeScheme::names();
  std::vector<PassOption> options = {
      {.name = "format",
       .kind = kWord,
       .help = "Format of the weights: q4n and q3n are pare's own (4.2 and 3.2 bits), all others are GGUF's; "
               "q4_k_m and the like give embedding, head, and v and down of some layers more bits (default "
               "q4n)",
       .choices = names},
      {.name = "embedding", .kind = kWord, .help = "Another format for embedding and head", .choices = names},
      {.name = "keep_embedding", .kind = kFlag, .help = "Embedding and head stay as they are"},
      {.name = "method",
       .kind = kWord,
       .help = "How codes are chosen: nearest, weighted (scales by the energy of the inputs) or feedback "
               "(default: columns make up for the errors of those before, then codes and scales descend)",
       .choices = names_of(kRoundingWords)},
      {.name = "weights",
       .kind = kWord,
       .help = "What weighs calibration tokens: none, or loss (the gradient of the model's loss, which takes "
               "a pass forward and back)",
       .choices = names_of(kTokenWeightsWords)},
      {.name = "sweeps",
       .kind = kCount,
       .help = "`method feedback`: rounds of descent over codes and scales (default 2)"},
      {.name = "sequential",
       .kind = kWord,
       .help =
           "yes: each linear is calibrated behind all that are already rounded; no: in the model as it was",
       .choices = names_of(kYesNo)},
      {.name = "match",
       .kind = kWord,
       .help = "What outputs are compared with: layer (the linear as it was, on the same input) or model "
               "(default: o and down bring the residual stream back to where the model had it)",
       .choices = names_of(kMatchWords)},
      {.name = "damping", .kind = kNumber, .help = "Of the Gram matrices, relative (default 0.01)"},
      {.name = "match_damping",
       .kind = kNumber,
       .help = "`match model`: how strongly weights hold on to what they were, relative (default 0.3)"},
      {.name = "targets",
       .kind = kTexts,
       .help = "Regular expression of linears to round, by role (down), name (layers.3.down) or tensor name; "
               "may be given several times (default: all linears of the blocks)"},
      {.name = "ignore",
       .kind = kTexts,
       .help = "Regular expression of linears that stay as they are; may be given several times"},
  };
  const std::vector<PassOption> budget = budget_options();
  const auto keep = std::find_if(options.begin(), options.end(),
                                 [](const PassOption& option) { return option.name == "keep_embedding"; });
  options.insert(keep + 1, budget.begin(), budget.end());
  return options;
}

std::optional<FormatBudget> budget_of(const OptionValues& values) {
  const std::vector<PassOption> options = budget_options();
  if (std::none_of(options.begin(), options.end(),
                   [&](const PassOption& option) { return values.contains(option.name); }))
    return {};
  FormatBudget budget;
  if (values.contains("target_bytes")) budget.bytes = values.at("target_bytes").get<int64_t>();
  if (values.contains("target_ratio")) budget.ratio = values.at("target_ratio").get<double>();
  if (values.contains("target_decode")) budget.decode = values.at("target_decode").get<double>();
  take_option(values, "loadable", kLoadableWords, budget.loadable);
  if (values.contains("formats"))
    for (const Json& name : values.at("formats"))
      budget.formats.push_back(*find_encoding(name.get<std::string>()));
  for (const char* name : {"format", "embedding"})
    if (values.contains(name))
      fail(ErrorCode::kUsage, "`{}` does not go with a budget, which chooses formats", name);
  return budget;
}

std::unique_ptr<Pass> make_quantize(const OptionValues& values) {
  QuantizeOptions options;
  if (values.contains("format")) options.format = QuantizeScheme(values.at("format").get<std::string>());
  if (values.contains("embedding"))
    options.embedding = QuantizeScheme(values.at("embedding").get<std::string>());
  take_option(values, "keep_embedding", options.keep_embedding);
  options.budget = budget_of(values);
  take_option(values, "method", kRoundingWords, options.method);
  take_option(values, "weights", kTokenWeightsWords, options.weights);
  take_option(values, "sweeps", options.sweeps);
  take_options(values, options);
  if (!values.contains("match"))
    options.match = options.sequential ? MatchOutput::kModel : MatchOutput::kLayer;
  take_option(values, "targets", options.targets);
  take_option(values, "ignore", options.ignore);
  return quantize_pass(options);
}

std::string mean_error(const std::vector<Json>& entries) {
  std::map<std::string, int64_t> formats;
  for (const Json& entry : entries) ++formats[entry.at("format").get<std::string>()];
  std::vector<std::string> counts;
  for (const auto& [name, count] : formats) counts.push_back(fmt::format("{} in {}", name, count));
  return fmt::format("{} matrices rounded ({}), mean relative output error {:.4f}", entries.size(),
                     fmt::join(counts, ", "), mean_relative_error(entries));
}

}  // namespace

std::vector<PassOption> budget_options() {
  using enum OptionKind;
  return {
      {.name = "target_bytes",
       .kind = kBytes,
       .help = "Most bytes of the written weight files, e.g. 75MB: every matrix gets a format of its own, "
               "those that together cost least within them"},
      {.name = "target_ratio",
       .kind = kNumber,
       .help = "The same as a share of the model's bytes in bf16, e.g. 0.3"},
      {.name = "target_decode",
       .kind = kSpeed,
       .help = "Fewest tokens a second, e.g. 60tok/s, that pare decodes on this machine with these "
               "`threads`, which is measured: every matrix gets a format of its own as with `target_bytes`"},
      {.name = "loadable",
       .kind = kWord,
       .help = "What has to load the chosen formats: pare (default: q3n, q4n, q5_0, q6_k, q8_0, bf16) or "
               "llama.cpp (q3_k, iq4_xs, iq4_nl, q5_0, q6_k, q8_0, bf16); types named _k and _xs only where "
               "256 divides the rows",
       .choices = names_of(kLoadableWords)},
      {.name = "formats",
       .kind = kWords,
       .help = "Formats to choose from, instead of all that `loadable` has",
       .choices = chosen_formats()},
  };
}

std::unique_ptr<Pass> quantize_pass(QuantizeOptions options) {
  return std::make_unique<QuantizePass>(std::move(options));
}

PassKind quantize_kind() {
  return {.name = "quantize",
          .help = "Round a model's weights to few bits, as calibration text shows what matters",
          .options = quantize_options(),
          .make = make_quantize,
          .short_form =
              [](const std::string& text) {
                return OptionValues{{"format", text}};
              },
          .short_words = QuantizeScheme::names(),
          .chooses_storage = true,
          .entries = "quantization",
          .summary = mean_error};
}

}  // namespace pare
