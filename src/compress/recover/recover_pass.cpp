#include "compress/recover/recover_pass.h"

#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/load.h"
#include "compress/recover/recover.h"
#include "compress/recover/stage_recovery.h"
#include "compress/resume/fingerprint.h"
#include "model/visit.h"
#include "train/coded_rows.h"

namespace pare {
namespace {

class RecoverPass final : public Pass {
 public:
  explicit RecoverPass(RecoverOptions options) : options_(std::move(options)) {
    validate(options_);
    if (!options_.teacher.empty()) teacher_ = load_model(options_.teacher);
  }

  std::string name() const override { return "recover"; }
  void require_applicable(const Model& /*model*/) const override {}
  void require_start(const Model& model) const override {
    if (!teacher_)
      fail(ErrorCode::kUsage,
           "recover needs `teacher`, the model before compression, where no pass is before it");
    if (options_.scope == RecoverScope::kStages) require_same_streams(model, *teacher_);
  }
  std::vector<Encoding> codes(const Model& model) const override {
    std::set<Encoding> codes;
    for_each_tensor(
        model,
        [&](const TensorPlace&, const Weight& weight) {
          if (CodedRows::can_train(weight)) codes.insert(weight.format.encoding);
        },
        [](const TensorPlace&, const std::vector<float>&) {});
    return {codes.begin(), codes.end()};
  }
  bool keeps_codes() const override { return true; }
  std::string no_gguf(const Model& model) const override { return no_gguf_type(codes(model)); }
  int64_t training_sequences(int64_t seqlen) const override {
    return options_.steps * options_.batch(seqlen) + options_.held_back(seqlen);
  }
  const Model* writer() const override { return teacher_ ? &*teacher_ : nullptr; }
  void require_same_tokens(const Tokenizer& tokenizer) const override {
    if (!teacher_) return;
    std::optional<Tokenizer> own;
    try {
      own = load_tokenizer(options_.teacher);
    } catch (const Error& error) {
      log_warning("{}; the teacher's tokens are taken to be those of the model", error.what());
      return;
    }
    for (int32_t id = 0; id < std::min(own->vocab_size(), tokenizer.vocab_size()); ++id)
      if (own->token_bytes(id) != tokenizer.token_bytes(id))
        fail(ErrorCode::kInvalid,
             "token {} of the teacher ({}) is not that of the model: their tokenizers have to be the same",
             id, options_.teacher);
  }
  std::string no_ranks() const override { return "training"; }
  Json options() const override {
    Json json = to_json(options_);
    json["teacher"] = teacher_ ? model_fingerprint(*teacher_) : "";
    return json;
  }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    return recover_needs(model, options_, plan, dtype);
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    return recover_seconds(model, options_, plan);
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const override {
    PARE_CHECK(context.area.comm().size() == 1);
    if (teacher_) require_finite_teacher();
    warn_of_lost_codes(model);
    const Model& teacher = teacher_ ? *teacher_ : context.original;
    if (options_.scope == RecoverScope::kModel) {
      recover(model, teacher, options_, context);
      return nullptr;
    }
    require_same_streams(model, teacher);
    context.report.recipe = {{"method", "recover"}, {"options", to_json(options_)}};
    return recover_stages(teacher, model.config, options_, context);
  }

 private:
  // Says which codes are not trained as such: they become floats, as those in int8 and int4 do.
  static void warn_of_lost_codes(const Model& model) {
    std::map<std::string_view, int64_t> lost;
    for_each_tensor(
        model,
        [&](const TensorPlace&, const Weight& weight) {
          if (is_block_encoding(weight.format.encoding) && !CodedRows::can_train(weight))
            ++lost[encoding_info(weight.format.encoding).name];
        },
        [](const TensorPlace&, const std::vector<float>&) {});
    for (const auto& [name, count] : lost)
      log_warning("{} matrices in {} cannot be trained in these codes: they become floats", count, name);
  }
  void require_finite_teacher() const {
    try {
      check_finite(*teacher_);
    } catch (const Error& error) {
      fail(error.code(), "the teacher ({}): {}", options_.teacher, error.what());
    }
  }

  RecoverOptions options_;
  std::optional<Model> teacher_;
};

PassOption steps_option() {
  return {.name = "steps",
          .kind = OptionKind::kCount,
          .help = "Steps of the optimiser, with `scope stages` for each of them (default 180)",
          .least = 1};
}

std::vector<PassOption> recover_options() {
  using enum OptionKind;
  return {
      {.name = "teacher",
       .kind = kWord,
       .help =
           "Folder or .gguf file of the model whose predictions it learns: the one before compression (in a "
           "recipe: the model that the recipe begins with)"},
      {.name = "scope",
       .kind = kWord,
       .help = "What is trained at once: model (default: all, on its predictions), or stages (one half of a "
               "layer after the other, on its output: memory for one, any size of model)",
       .choices = names_of(kRecoverScopes)},
      steps_option(),
      {.name = "batch_tokens", .kind = kCount, .help = "Tokens of a step (default 4096)", .least = 1},
      {.name = "rate",
       .kind = kNumber,
       .help = "Learning rate at its highest, relative to the size of a matrix's values (default 0.002)"},
      {.name = "code_rate",
       .kind = kNumber,
       .help = "The same of values that are rounded to codes (default 0.001)"},
      {.name = "scale_rate",
       .kind = kNumber,
       .help = "The same of the logarithms of scales of codes (default 0.004)"},
      {.name = "embedding_rate",
       .kind = kNumber,
       .help = "Share of these rates for embedding and head (default 0.1)"},
      {.name = "average",
       .kind = kNumber,
       .help = "Decay of the average of the weights, which is what is checked and kept (default 0.98)"},
      {.name = "checks",
       .kind = kCount,
       .help = "How often the loss on held-back text is measured (default 10)",
       .least = 1},
      {.name = "held_back_tokens",
       .kind = kCount,
       .help = "Tokens that are held back from training for that (default 8192)",
       .least = 1},
  };
}

std::unique_ptr<Pass> make_recover(const OptionValues& values) {
  RecoverOptions options;
  take_option(values, "teacher", options.teacher);
  take_option(values, "scope", kRecoverScopes, options.scope);
  take_option(values, "steps", options.steps);
  take_option(values, "batch_tokens", options.batch_tokens);
  take_option(values, "rate", options.rate);
  take_option(values, "code_rate", options.code_rate);
  take_option(values, "scale_rate", options.scale_rate);
  take_option(values, "embedding_rate", options.embedding_rate);
  take_option(values, "average", options.average);
  take_option(values, "checks", options.checks);
  take_option(values, "held_back_tokens", options.held_back_tokens);
  return recover_pass(std::move(options));
}

// Returns the entries of each recovery of a recipe: its first entry has the first one's name once more, or is
// of the other scope.
std::vector<std::vector<Json>> by_recovery(const std::vector<Json>& entries) {
  std::vector<std::vector<Json>> all;
  for (const Json& entry : entries) {
    if (all.empty() || entry.at("name") == all.back().front().at("name") ||
        entry.contains("kl") != all.back().front().contains("kl"))
      all.emplace_back();
    all.back().push_back(entry);
  }
  return all;
}

std::string gain_of_one(const std::vector<Json>& entries) {
  if (entries.front().contains("relative_error")) {
    double before = 0.0;
    for (const Json& entry : entries) before += entry.at("relative_error_before").get<double>();
    return fmt::format("{} stages trained, mean relative error {:.4f} -> {:.4f}", entries.size(),
                       before / static_cast<double>(entries.size()), mean_relative_error(entries));
  }
  double best = entries.front().at("kl").get<double>();
  std::string at = "the start";
  for (const Json& entry : entries)
    if (entry.at("kl").get<double>() < best) {
      best = entry.at("kl").get<double>();
      at = entry.at("name").get<std::string>();
    }
  return fmt::format("KL on held-back text {:.4f} -> {:.4f} nats a token, at {}",
                     entries.front().at("kl").get<double>(), best, at);
}

std::string gain(const std::vector<Json>& entries) {
  std::string text;
  for (const std::vector<Json>& one : by_recovery(entries))
    text += (text.empty() ? "" : "; ") + gain_of_one(one);
  return text;
}

}  // namespace

std::unique_ptr<Pass> recover_pass(RecoverOptions options) {
  return std::make_unique<RecoverPass>(std::move(options));
}

PassKind recover_kind() {
  return {
      .name = "recover",
      .help = "Train a compressed model to predict what the model before it predicts, in the shape it has",
      .options = recover_options(),
      .make = make_recover,
      .short_form =
          [](const std::string& text) {
            OptionValues values = OptionValues::object();
            read_option(steps_option(), text, values);
            return values;
          },
      .on_ranks = false,
      .entries = "recovery",
      .summary = gain};
}

}  // namespace pare
