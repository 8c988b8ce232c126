#include "checkpoint/model_card.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "checkpoint/carried_files.h"
#include "checkpoint/front_matter.h"
#include "checkpoint/recipe_text.h"

namespace pare {
namespace {

constexpr const char* kTag = "pare";

// Makes one line of a name from a file, which must not break the card.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == '`'; }, ' ');
  return text;
}

void add_value(std::string& text, const char* key, const std::string& value) {
  if (!value.empty()) text += fmt::format("{}: {}\n", key, yaml_scalar(value));
}

void add_values(std::string& text, const char* key, const std::vector<std::string>& values) {
  if (values.empty()) return;
  text += fmt::format("{}:\n", key);
  for (const std::string& value : values) text += fmt::format("- {}\n", yaml_scalar(value));
}

std::string front_matter(const CardFacts& facts) {
  const ModelAbout& original = facts.original;
  std::vector<std::string> tags;
  if (!facts.manifest.is_null()) tags = {kTag, "compressed"};
  for (const std::string& tag : original.tags)
    if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
  std::string text = "---\n";
  add_values(text, "base_model", origins_of(original));
  add_values(text, "language", original.languages);
  add_values(text, "datasets", original.datasets);
  text += "library_name: transformers\n";
  add_value(text, "license", original.license);
  add_value(text, "license_name", original.license_name);
  add_value(text, "license_link", original.license_link);
  add_value(text, "model_name", original.name);
  for (const auto& [key, value] : card_texts(original)) add_value(text, key.c_str(), value);
  add_value(text, "pipeline_tag", original.pipeline_tag.empty() ? "text-generation" : original.pipeline_tag);
  add_values(text, "tags", tags);
  return text + "---\n";
}

std::string value_text(const Json& value) { return one_line(manifest_value(value)); }

std::string options_text(const Json& options) {
  std::string text;
  for (const auto& [key, value] : options.items())
    text += fmt::format("{}`{}` {}", text.empty() ? "" : ", ", key, value_text(value));
  return text;
}

// Writes "1. slice: `streams` hidden value, …".
std::string pass_text(const RecipePass& pass) {
  return fmt::format("1. {}: {}\n", one_line(pass.method), options_text(pass.options));
}

std::string recipe_text(const Json& manifest) {
  std::string text = "## Recipe\n\n";
  for (const RecipePass& pass : manifest_passes(manifest)) text += pass_text(pass);
  const Json& recipe = manifest_member(manifest, "recipe");
  if (const Json& calibration = manifest_member(recipe, "calibration"); calibration.is_object())
    text += fmt::format("\nCalibration: {}.", options_text(calibration));
  if (const Json& training = manifest_member(recipe, "training"); training.is_object())
    text += fmt::format(" Training: {}.", options_text(training));
  if (const Json& seed = manifest_member(recipe, "seed"); !seed.is_null())
    text += fmt::format(" Seed {}.", seed.dump());
  return text + " `pare.json` holds all of it, and the errors of every step.\n\n";
}

std::string size_row(const char* what, const Json& before, int64_t after) {
  if (!before.is_number_integer() || before.get<int64_t>() <= 0) return {};
  const auto old = before.get<int64_t>();
  return fmt::format("| {} | {} | {} | {:.1f} % |\n", what, old, after,
                     100.0 * static_cast<double>(after) / static_cast<double>(old));
}

// Returns a name for the things that the entries of a kind describe.
std::string what_has(const std::string& kind) {
  if (kind == "errors") return "sliced streams";
  return kind == "sparsity" ? "sparse linears" : one_line(kind);
}

// Writes "LINEARS: mean …, largest …" of the entries' relative errors.
std::string error_line(const Json& entries, const std::string& what) {
  double sum = 0.0;
  double largest = 0.0;
  int64_t count = 0;
  if (entries.is_array())
    for (const Json& entry : entries)
      if (const Json& error = manifest_member(entry, "relative_error"); error.is_number()) {
        sum += error.get<double>();
        largest = std::max(largest, error.get<double>());
        ++count;
      }
  if (count == 0) return {};
  return fmt::format(
      "- {} {}: relative output error on the calibration tokens {:.4f} on average, {:.4f} at most.\n", count,
      what, sum / static_cast<double>(count), largest);
}

std::string figures_text(const CardFacts& facts) {
  const Json& before = manifest_member(facts.manifest, "before");
  std::string text = "## Before and after\n\n| | before | after | of it |\n|---|---|---|---|\n";
  text += size_row("parameters", manifest_member(before, "parameters"), facts.size.parameters);
  text += size_row("bytes", manifest_member(before, "bytes"), facts.size.bytes) + "\n";
  if (const Json& linears = manifest_member(facts.manifest, "linears"); linears.is_object())
    for (const auto& [pattern, count] : linears.items())
      if (pattern != "dense")
        text += fmt::format("- {} linears keep {} weights.\n", value_text(count), one_line(pattern));
  if (facts.manifest.is_object())
    for (const auto& [kind, entries] : facts.manifest.items()) text += error_line(entries, what_has(kind));
  if (const Json& fallbacks = manifest_member(facts.manifest, "fallbacks");
      fallbacks.is_array() && !fallbacks.empty())
    text += fmt::format("- {} steps did not go as planned: `fallbacks` in `pare.json`.\n", fallbacks.size());
  return text + "- `pare eval` measures what it cost in perplexity and on tasks.\n\n";
}

std::string loading_text(const CardFacts& facts) {
  std::string text = "## How to load it\n\n";
  if (facts.format == StorageFormat::kSparse24Bitmask)
    text +=
        "The sparse linears are stored as `sparse-24-bitmask`, which compressed-tensors 0.9 to 0.14 reads. "
        "Later "
        "ones do not, and\nleave these linears random: with `trust_remote_code=True` the code beside the "
        "weights "
        "reads them, with any version.\n\n";
  else if (facts.format == StorageFormat::kPackQuantized)
    text +=
        "The linears are stored in 4 bits as `pack-quantized`, which transformers reads where "
        "compressed-tensors is installed.\n\n";
  if (facts.own_code && facts.format != StorageFormat::kSparse24Bitmask)
    text +=
        "transformers loads it with the code that lies beside the weights, which `trust_remote_code=True` "
        "allows.\n\n";
  const char* trust = facts.own_code ? ", trust_remote_code=True" : "";
  text += fmt::format(
      "```python\n"
      "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
      "tokenizer = AutoTokenizer.from_pretrained(\"FOLDER\"{0})\n"
      "model = AutoModelForCausalLM.from_pretrained(\"FOLDER\", dtype=\"auto\"{0})\n"
      "print(tokenizer.decode(model.generate(**tokenizer(\"Once\", return_tensors=\"pt\"), "
      "max_new_tokens=40)[0]))\n"
      "```\n\n",
      trust);
  return text +
         "`pare generate FOLDER -p Once` runs it. For llama.cpp and Ollama:\n\n"
         "```sh\n"
         "pare convert FOLDER -o model.gguf --dtype q8_0  # or says why that cannot be\n"
         "```\n";
}

std::string terms_text(const CardFacts& facts) {
  std::string text;
  const ModelAbout& original = facts.original;
  if (!original.license.empty() || !facts.carried.empty()) text += "\n## Terms\n\n";
  if (!original.license.empty())
    text += fmt::format("The original's licence, {}, holds for this model too.\n",
                        one_line(original.license_name.empty() ? original.license : original.license_name));
  if (facts.carried.empty()) return text;
  text += "These files are the original's:";
  for (const std::string& name : facts.carried) text += fmt::format(" `{}`", one_line(name));
  return text + "\n";
}

}  // namespace

std::string model_card(const CardFacts& facts) {
  const bool compressed = !facts.manifest.is_null();
  std::string text = front_matter(facts) + fmt::format("\n# {}\n\n", one_line(facts.original.name));
  const std::vector<Json> runs = manifest_runs(facts.manifest);
  const bool trained = std::any_of(runs.begin(), runs.end(), [](const Json& run) {
    return manifest_member(manifest_member(run, "recipe"), "training").is_object();
  });
  text += !compressed ? "Converted by `pare`.\n\n"
          : trained   ? "Compressed by `pare`, and trained to predict what the model before it predicts.\n\n"
                      : "Compressed by `pare`, without training.\n\n";
  if (compressed) text += recipe_text(facts.manifest) + figures_text(facts);
  return text + loading_text(facts) + terms_text(facts);
}

void write_documents(const std::filesystem::path& input, const std::filesystem::path& folder,
                     CardFacts facts) {
  facts.original = read_about(input);
  if (!facts.manifest.is_null()) facts.original.size_label.clear();  // it names the original's size
  facts.carried = carry_documents(input, folder);
  write_file(folder / kCardFile, model_card(facts));
}

}  // namespace pare
