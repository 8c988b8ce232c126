#include "compress/quantize/format_choice.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/log.h"
#include "base/parallel.h"
#include "compress/budget.h"
#include "compress/calibrate/calibration_cost.h"
#include "compress/calibrate/gradient_walk.h"
#include "compress/calibrate/selection.h"
#include "compress/estimate.h"
#include "compress/walk/model_losses.h"
#include "io/gguf.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr const char* kStep = "formats";
constexpr int64_t kCostTokens = 8192;             // that costs are foreseen on
constexpr int64_t kHeldBackTokens = 4096;         // that the choice is compared on
constexpr int64_t kHeldBytes = int64_t{2} << 30;  // inputs of all stages, at most

constexpr int kAttempts = 4;  // choices whose speed is measured

using Formats = MatrixFormats;

bool is_table(const MatrixName& name) { return name.second < 0; }

// Calls visit(MatrixName, Weight&) for the matrices that may be rounded.
template <typename ModelT, typename Visit>
void for_each_rounded(ModelT& model, const QuantizeOptions& options, Visit&& visit) {
  if (!options.keep_embedding) {
    visit(MatrixName{Role::kEmbedding, -1}, model.embedding);
    if (!model.head.empty()) visit(MatrixName{Role::kHead, -1}, model.head);
  }
  const Selection selection(options.targets, options.ignore);
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (auto& stage : model.blocks[b].stages)
      for_each_linear(stage, [&](Role role, auto& linear) {
        const auto block = static_cast<int64_t>(b);
        if (selection.selects(model.config, block, role)) visit(MatrixName{role, block}, linear.weight);
      });
}

int64_t bytes_in(const Weight& weight, Encoding encoding) {
  return weight.format == WeightFormat(encoding) ? weight.bytes()
                                                 : weight.rows * row_bytes(encoding, weight.cols);
}

// Returns the encodings of a matrix among the candidates.
std::vector<Encoding> options_of(const Weight& weight, const FormatBudget& budget) {
  const Encoding own = weight.format.encoding;
  std::vector<Encoding> options;
  for (const Encoding candidate : candidate_formats(budget))
    if (misfit(candidate, weight.cols).empty() &&
        (is_float(own) || bytes_in(weight, candidate) < weight.bytes()))
      options.push_back(candidate);
  const bool stays = is_block_encoding(own) && weight.format.pattern.dense() &&
                     (budget.loadable == Loadable::kPare || has_gguf_type(own));
  if (stays) options.push_back(own);
  if (!options.empty()) return options;
  // Nothing makes it smaller: the smallest that fits.
  Encoding least = Encoding::kBF16;
  for (const Encoding candidate : candidate_formats(budget))
    if (misfit(candidate, weight.cols).empty() && bytes_in(weight, candidate) < bytes_in(weight, least))
      least = candidate;
  return {least};
}

// Returns the model with other formats and the same bytes of values: only good for counting.
Model in_formats(const Model& model, const QuantizeOptions& options, const Formats& formats) {
  Model result = model;
  for_each_rounded(result, options, [&](const MatrixName& name, Weight& weight) {
    weight.format = formats.at(name);
    weight.mask = weight.scales = weight.zero_points = nullptr;
  });
  return result;
}

// Returns the formats of the largest price, or of the smallest. `price(name, weight, encoding)`.
template <typename Price, typename Better>
Formats extreme(const Model& model, const QuantizeOptions& options, const Price& price, Better better) {
  Formats formats;
  for_each_rounded(model, options, [&](const MatrixName& name, const Weight& weight) {
    const std::vector<Encoding> encodings = options_of(weight, *options.budget);
    formats[name] = *std::min_element(encodings.begin(), encodings.end(), [&](Encoding a, Encoding b) {
      return better(price(name, weight, a), price(name, weight, b));
    });
  });
  return formats;
}
int64_t bytes_price(const MatrixName& /*name*/, const Weight& weight, Encoding encoding) {
  return bytes_in(weight, encoding);
}
Formats largest(const Model& model, const QuantizeOptions& options) {
  return extreme(model, options, bytes_price, std::greater<>());
}

// Says which encodings there are: the one of all, or numbers of matrices.
std::string described(const Formats& formats) {
  std::map<std::string_view, int64_t> counts;
  for (const auto& [name, encoding] : formats) ++counts[encoding_info(encoding).name];
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", name, count);
  return text;
}

constexpr double kNanoseconds = 1e9;  // nanoseconds of a second

// A limit for the sum of prices of matrices and of what is beside them: bytes, or nanoseconds of a token.
struct Limit {
  const char* option;
  const char* least;  // what the lowest price is called
  const char* takes;
  int64_t most;
  int64_t beside;  // price beside the matrices, at first
  std::function<int64_t(const MatrixName&, const Weight&, Encoding)> price;
  std::function<int64_t(const Formats&)> whole;    // price of all, as it is known without measuring
  std::function<int64_t(const Formats&)> checked;  // price of all, measured if it has to be
  std::function<std::string(int64_t)> text;        // says a price
  int attempts = std::numeric_limits<int>::max();  // choices that are checked
};

Limit limit_of_bytes(const Model& model, const QuantizeOptions& options, int64_t most,
                     const WrittenBytes& written_bytes) {
  const auto written = [&model, &options, written_bytes](const Formats& formats) {
    return written_bytes(in_formats(model, options, formats));
  };
  return {.option = options.budget->ratio ? "target_ratio" : "target_bytes",
          .least = "least",
          .takes = "takes",
          .most = most,
          .beside = 0,
          .price = bytes_price,
          .whole = written,
          .checked = written,
          .text = [](int64_t bytes) { return fmt::format("{} bytes", bytes); }};
}

Limit limit_of_time(const QuantizeOptions& options, const DecodeTimes& times) {
  return {
      .option = "target_decode",
      .least = "fastest",
      .takes = "decodes",
      .most = static_cast<int64_t>(std::min(kNanoseconds / *options.budget->decode, 0x1p62)),
      .beside = times.rest(),
      .price = [&times](const MatrixName& name, const Weight& /*weight*/,
                        Encoding encoding) { return times.of(name, encoding); },
      .whole =
          [&times](const Formats& formats) {
            int64_t sum = times.rest();
            for (const auto& [name, encoding] : formats) sum += times.of(name, encoding);
            return sum;
          },
      .checked = [&times](const Formats& formats) { return times.measured(formats); },
      .text =
          [](int64_t time) { return fmt::format("{:.2f} tok/s", kNanoseconds / static_cast<double>(time)); },
      .attempts = kAttempts};
}

void require_within(const Model& model, const QuantizeOptions& options, const Limit& limit) {
  const Formats least = extreme(model, options, limit.price, std::less<>());
  const Formats best = largest(model, options);
  if (const int64_t whole = limit.whole(least); whole > limit.most)
    fail(ErrorCode::kInvalid, "`{}`: {} are wanted, and the {} that there is {} {} ({})", limit.option,
         limit.text(limit.most), limit.least, limit.takes, limit.text(whole), described(least));
  const int64_t whole = limit.whole(best);
  if (whole <= limit.most &&
      std::all_of(best.begin(), best.end(), [](const auto& f) { return is_float(f.second); }))
    fail(ErrorCode::kInvalid,
         "`{}`: {} are wanted, and the model {} {} in 16 bits: nothing has to be rounded", limit.option,
         limit.text(limit.most), limit.takes, limit.text(whole));
}

struct Sets {
  CalibrationSet costs;
  CalibrationSet held_back;
};

Sets sets_of(const Model& model, const CalibrationSet& set) {
  const auto count = static_cast<int64_t>(set.sequences.size());
  const int64_t length = set.seqlen();
  const int64_t held = std::clamp<int64_t>(kHeldBackTokens / length, 1, std::max<int64_t>(1, count / 4));
  const int64_t tokens = std::min(kCostTokens, kHeldBytes / held_bytes_of_token(model));
  const int64_t costs = std::clamp<int64_t>(tokens / length, 1, std::max<int64_t>(1, count - held));
  MeasuringSets sets = split_for_measuring(set, {costs, held, length});
  sets.gram.seed = set.seed;
  return {std::move(sets.gram), std::move(sets.probe)};
}

class FormatChoice {
 public:
  FormatChoice(const Model& model, const QuantizeOptions& options, const PassContext& context, Limit limit)
      : model_(model),
        options_(options),
        context_(context),
        limit_(std::move(limit)),
        units_(rounding_units(model, options)),
        sets_(sets_of(model, context.set)) {
    for_each_rounded(model, options,
                     [&](const MatrixName& name, const Weight& weight) { weights_.emplace(name, &weight); });
  }

  Json choose() {
    require_within(model_, options_, limit_);
    const FormatBudget& budget = *options_.budget;
    Json summary = budget.decode ? Json{{"target_decode", *budget.decode}, {"threads", thread_count()}}
                                 : Json{{"target_bytes", limit_.most}};
    Formats chosen = largest(model_, options_);
    if (const int64_t whole = checked(chosen); whole <= limit_.most) {
      log_warning("{} are wanted, and in the best formats everywhere the model {} {}",
                  limit_.text(limit_.most), limit_.takes, limit_.text(whole));
      return record_of(chosen, std::move(summary), nullptr);
    }
    const RoundingCosts costs(model_, sets_.costs, units_, context_.progress);
    chosen = cheapest(costs);
    summary["predicted_kl"] = predicted(chosen, costs);
    const Formats uniform = best_uniform(costs);
    std::vector<std::string> fallbacks;
    if (!uniform.empty() && uniform != chosen) {
      const auto [mixed_kl, uniform_kl] = compare(chosen, uniform, costs);
      summary["compared"] = {{"kl", mixed_kl}, {"uniform", described(uniform)}, {"uniform_kl", uniform_kl}};
      if (mixed_kl >= uniform_kl) {
        fallbacks.push_back(fmt::format(
            "the formats chosen for {} moved predictions by {:.4f} nats, and {} by {:.4f}: that is written",
            limit_.text(limit_.most), mixed_kl, described(uniform), uniform_kl));
        chosen = uniform;
        summary["predicted_kl"] = predicted(chosen, costs);
      }
    }
    Json record = record_of(chosen, std::move(summary), &costs);
    record["fallbacks"] = fallbacks;
    return record;
  }

 private:
  // Returns the price of all, which is measured once where it has to be.
  int64_t checked(const Formats& formats) const {
    const auto [found, is_new] = checked_.try_emplace(formats, 0);
    if (is_new) found->second = limit_.checked(formats);
    return found->second;
  }
  int64_t price_of(const MatrixName& name, Encoding encoding) const {
    return limit_.price(name, *weights_.at(name), encoding);
  }
  double predicted(const Formats& formats, const RoundingCosts& costs) const {
    double sum = 0.0;
    for (const RoundingUnit& unit : units_) sum += cost_of(unit, formats.at(unit.name), costs);
    return sum;
  }
  static double cost_of(const RoundingUnit& unit, Encoding encoding, const RoundingCosts& costs) {
    const auto at = std::find(unit.options.begin(), unit.options.end(), encoding) - unit.options.begin();
    return costs.of(unit.name)[static_cast<size_t>(at)];
  }

  Formats cheapest(const RoundingCosts& costs) const {
    std::vector<PricedOptions> things;
    int64_t least = 0;
    for (const RoundingUnit& unit : units_) {
      PricedOptions options;
      for (const Encoding option : unit.options) options.price.push_back(price_of(unit.name, option));
      options.loss = costs.of(unit.name);
      least += *std::min_element(options.price.begin(), options.price.end());
      things.push_back(std::move(options));
    }
    // The price of what is beside the matrices depends a little on their formats.
    int64_t beside = limit_.beside;
    for (int attempt = 1;; ++attempt) {
      const std::vector<size_t> indices = allocate_options(things, std::max(least, limit_.most - beside));
      Formats formats;
      int64_t matrices = 0;
      for (size_t i = 0; i < units_.size(); ++i) {
        formats[units_[i].name] = units_[i].options[indices[i]];
        matrices += things[i].price[indices[i]];
      }
      const int64_t whole = checked(formats);
      if (whole <= limit_.most || attempt == limit_.attempts) return formats;
      beside = std::max(beside + 1, whole - matrices);
    }
  }

  // Returns the uniform formats of least predicted cost that meet the budget; nothing where none do.
  Formats best_uniform(const RoundingCosts& costs) const {
    Formats found;
    double least = 0.0;
    const std::vector<Encoding> candidates = candidate_formats(*options_.budget);
    for (const Encoding linears : candidates)
      for (const Encoding tables : candidates) {
        Formats formats;
        int64_t matrices = 0;
        for (const RoundingUnit& unit : units_) {
          const Encoding wanted = is_table(unit.name) ? tables : linears;
          if (std::find(unit.options.begin(), unit.options.end(), wanted) == unit.options.end()) break;
          formats[unit.name] = wanted;
          matrices += price_of(unit.name, wanted);
        }
        if (formats.size() < units_.size() || limit_.beside + matrices > limit_.most) continue;
        const double cost = predicted(formats, costs);
        if ((!found.empty() && cost >= least) || checked(formats) > limit_.most) continue;
        least = cost;
        found = std::move(formats);
      }
    return found;
  }

  std::pair<double, double> compare(const Formats& mixed, const Formats& uniform,
                                    const RoundingCosts& costs) const {
    if (context_.progress) context_.progress("comparing with a uniform format", 0, 1);
    std::map<std::pair<MatrixName, Encoding>, Weight> made;  // weights that both have are rounded once
    const auto rounded = [&](const Formats& formats) {
      Model result = model_;
      for_each_rounded(result, options_, [&](const MatrixName& name, Weight& weight) {
        Weight& one = made[{name, formats.at(name)}];
        if (one.empty()) one = rounded_alone(weight, formats.at(name), costs.importance(name));
        weight = one;
      });
      return result;
    };
    const Model models[] = {rounded(mixed), rounded(uniform)};
    const std::vector<double> losses = model_losses(model_, models, sets_.held_back);
    if (context_.progress) context_.progress("comparing with a uniform format", 1, 1);
    return {losses[0], losses[1]};
  }

  // `costs`: null where none were needed.
  Json record_of(const Formats& formats, Json summary, const RoundingCosts* costs) const {
    if (options_.budget->decode)
      summary["foreseen_decode"] = kNanoseconds / static_cast<double>(checked(formats));
    Json entries = Json::array();
    for (const RoundingUnit& unit : units_) {
      const Encoding encoding = formats.at(unit.name);
      Json entry = {{"name", linear_name(unit.name.second, unit.name.first)},
                    {"format", encoding_info(encoding).name},
                    {"bytes", bytes_in(*weights_.at(unit.name), encoding)}};
      if (costs != nullptr) entry["predicted_kl"] = cost_of(unit, encoding, *costs);
      entries.push_back(std::move(entry));
    }
    return {{"summary", std::move(summary)}, {"entries", std::move(entries)}, {"fallbacks", Json::array()}};
  }

  const Model& model_;
  const QuantizeOptions& options_;
  const PassContext& context_;
  Limit limit_;
  std::vector<RoundingUnit> units_;
  Sets sets_;
  std::map<MatrixName, const Weight*> weights_;
  mutable std::map<Formats, int64_t> checked_;  // prices that were asked for
};

}  // namespace

std::vector<Encoding> candidate_formats(const FormatBudget& budget) {
  using enum Encoding;
  if (!budget.formats.empty()) return budget.formats;
  if (budget.loadable == Loadable::kGguf) return {kQ3_K, kIQ4_XS, kIQ4_NL, kQ5_0, kQ6_K, kQ8_0, kBF16};
  return {kQ3N, kQ4N, kQ5_0, kQ6_K, kQ8_0, kBF16};
}

std::vector<RoundingUnit> rounding_units(const Model& model, const QuantizeOptions& options) {
  std::vector<RoundingUnit> units;
  for_each_rounded(model, options, [&](const MatrixName& name, const Weight& weight) {
    units.push_back({name, options_of(weight, *options.budget)});
  });
  return units;
}

void require_bytes(const Model& model, const QuantizeOptions& options, int64_t most,
                   const WrittenBytes& written_bytes) {
  require_within(model, options, limit_of_bytes(model, options, most, written_bytes));
}

void require_decode(const Model& model, const QuantizeOptions& options, const DecodeTimes& times) {
  require_within(model, options, limit_of_time(options, times));
}

QuantizeScheme smallest_formats(const Model& model, const QuantizeOptions& options) {
  return QuantizeScheme(extreme(model, options, bytes_price, std::less<>()));
}

QuantizeScheme choose_formats(const Model& model, const QuantizeOptions& options, const PassContext& context,
                              std::optional<DecodeTimes> times, Json& summary) {
  const Json* record = context.area.find(kStep);
  if (record == nullptr) {
    if (options.budget->decode && !times)
      times.emplace(model, rounding_units(model, options), context.progress);
    Limit limit = times ? limit_of_time(options, *times)
                        : limit_of_bytes(model, options, *options.budget->most_bytes(context.original),
                                         context.written_bytes);
    context.area.record(kStep, FormatChoice(model, options, context, std::move(limit)).choose());
    record = context.area.find(kStep);
  }
  std::map<std::string, Encoding> by_name;
  for (const Json& entry : record->at("entries")) {
    by_name[entry.at("name").get<std::string>()] = *find_encoding(entry.at("format").get<std::string>());
    context.report.add("formats", entry);
  }
  for (const Json& fallback : record->at("fallbacks"))
    context.report.fallbacks.push_back(fallback.get<std::string>());
  summary = record->at("summary");
  Formats formats;
  for (const RoundingUnit& unit : rounding_units(model, options))
    formats[unit.name] = by_name.at(linear_name(unit.name.second, unit.name.first));
  return QuantizeScheme(std::move(formats));
}

int64_t choosing_bytes(const Model& model, const QuantizeOptions& options, const CalibrationPlan& plan) {
  const auto candidates = static_cast<int64_t>(candidate_formats(*options.budget).size());
  const int64_t held = std::max(plan.seqlen * held_bytes_of_token(model),
                                std::min(kCostTokens * held_bytes_of_token(model), kHeldBytes));
  const int64_t head = model.head_weight().values();
  // Packed errors of all candidates, and one of them in f32 with what it was made of.
  const int64_t errors = candidates * std::max(calibration_widths(model).parameters, head) * 4 + 12 * head;
  const int64_t models = 2 * model_size(model).dense_parameters * 2;
  const int64_t compared = models + model_losses_bytes(model, 2, std::max(plan.seqlen, kHeldBackTokens));
  const int64_t timed = options.budget->decode ? models + decode_cache_bytes(model) : 0;
  return kProgramMemory +
         std::max({held + gradient_walk_bytes(model, plan.seqlen) + errors, compared, timed});
}

double choosing_seconds(const Model& model, const QuantizeOptions& options, const CalibrationPlan& plan) {
  int64_t parameters = 0;  // the first layer has them, with what stands outside the layers
  const LayerSeconds layer =
      seconds_of_first_layer(model, plan.seqlen, [&](const Model& first, const CalibrationSet& set) {
        parameters = model_size(first).dense_parameters;
        const RoundingCosts costs(first, set, rounding_units(first, options));
      });
  const auto share =
      static_cast<double>(model_size(model).dense_parameters) / static_cast<double>(parameters);
  const int64_t sequences =
      std::clamp<int64_t>(kCostTokens / plan.seqlen, 1, std::max<int64_t>(1, plan.nsamples * 3 / 4));
  // Two models are rounded once more and run on half as many tokens.
  return share * (layer.fixed * 1.5 + layer.sequence * static_cast<double>(sequences));
}

}  // namespace pare
