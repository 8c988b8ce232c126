#include <algorithm>
#include <iterator>
#include <map>

#include "base/checked_math.h"
#include "base/json.h"
#include "base/log.h"
#include "base/words.h"
#include "checkpoint/about.h"
#include "checkpoint/build.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/load.h"
#include "checkpoint/other_keys.h"
#include "checkpoint/save.h"
#include "checkpoint/tensor_table.h"
#include "checkpoint/whole_values.h"
#include "io/gguf.h"
#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

// Chooses a matrix's encoding: a row that does not divide into blocks stays in 16 bits.
Encoding gguf_encoding(const Weight& weight, std::optional<Encoding> dtype) {
  const Encoding own = weight.format.encoding;
  if (!dtype) return has_gguf_type(own) ? own : Encoding::kBF16;
  if (weight.cols % encoding_info(*dtype).block_values == 0) return *dtype;
  const bool had_exponents = own != Encoding::kF32 && own != Encoding::kF16;
  return had_exponents ? Encoding::kBF16 : Encoding::kF16;
}

bool is_rotary(const TensorPlace& place) { return place.role == Role::kQuery || place.role == Role::kKey; }

// Builds the table, which refers to the model.
TensorTable gguf_table(const Architecture& architecture, const Model& model, std::optional<Encoding> dtype) {
  const int64_t head_dim = model.config.head_dim;
  const bool interleave = architecture.gguf_interleaved_rope;
  TensorTable table;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        const bool permuted = interleave && is_rotary(place);
        const Encoding encoding = gguf_encoding(weight, dtype);
        table.add(gguf_name(architecture, place), {weight.rows, weight.cols}, encoding,
                  [&weight, permuted, head_dim, encoding] {
                    Weight dense = weight.format.pattern.dense() ? weight : to_format(weight, encoding, {});
                    if (!permuted) return dense;
                    return gather_rows(dense, interleaved_order(weight.rows / head_dim, head_dim));
                  });
      },
      [&](const TensorPlace& place, const std::vector<float>& values) {
        std::vector<float> stored = values;
        if (interleave && is_rotary(place)) {
          const auto n = static_cast<int64_t>(values.size());
          const std::vector<int64_t> order = interleaved_order(n / head_dim, head_dim);
          for (size_t i = 0; i < stored.size(); ++i) stored[i] = values[static_cast<size_t>(order[i])];
        }
        // llama.cpp computes with norms and biases in f32 and expects them so.
        table.add(gguf_name(architecture, place), {static_cast<int64_t>(values.size())}, Encoding::kF32,
                  [stored] { return vector_weight(stored); });
      });
  for (const auto& [name, values] : architecture.extra_gguf_tensors(model.config))
    table.add(name, {static_cast<int64_t>(values.size())}, Encoding::kF32,
              [stored = values] { return vector_weight(stored); });
  return table;
}

// Says which matrices did not become `dtype`, the first ones by name.
void warn_of_exceptions(const std::vector<TensorPlan>& plan, Encoding dtype) {
  constexpr int64_t kShown = 8;
  const EncodingInfo& info = encoding_info(dtype);
  FirstNames names(kShown);
  for (const TensorPlan& tensor : plan)
    if (tensor.shape.size() == 2 && tensor.encoding != dtype)
      names.add(fmt::format("{} ({})", tensor.name, encoding_info(tensor.encoding).name));
  if (names.count() > 0)
    log_warning("{} matrices with rows that do not divide into {} blocks of {} are written in 16 bits: {}",
                names.count(), info.name, info.block_values, names.text());
}

struct FileType {
  Encoding encoding;
  uint32_t number;  // general.file_type of llama.cpp; for mixed files the type of most values names it
};
constexpr FileType kFileTypes[] = {
    {Encoding::kF32, 0},     {Encoding::kF16, 1},     {Encoding::kQ4_0, 2},  {Encoding::kQ4_1, 3},
    {Encoding::kQ8_0, 7},    {Encoding::kQ5_0, 8},    {Encoding::kQ5_1, 9},  {Encoding::kQ2_K, 10},
    {Encoding::kQ3_K, 12},   {Encoding::kQ4_K, 15},   {Encoding::kQ5_K, 17}, {Encoding::kQ6_K, 18},
    {Encoding::kIQ4_NL, 25}, {Encoding::kIQ4_XS, 30}, {Encoding::kBF16, 32}, {Encoding::kTQ1_0, 36},
    {Encoding::kTQ2_0, 37},  {Encoding::kMXFP4, 38},
};

// Adds general.file_type, and the version of the block encodings where there are any.
void add_file_type(const std::vector<TensorPlan>& plan, std::vector<GgufEntry>& entries) {
  std::map<Encoding, int64_t> values;
  for (const TensorPlan& tensor : plan)
    if (tensor.shape.size() == 2) values[tensor.encoding] += tensor.shape[0] * tensor.shape[1];
  if (values.empty()) return;
  const auto most = std::max_element(values.begin(), values.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto* type = std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                                  [&](const FileType& t) { return t.encoding == most->first; });
  PARE_CHECK(type != std::end(kFileTypes));
  entries.push_back({"general.file_type", type->number});
  if (std::any_of(values.begin(), values.end(), [](const auto& v) { return is_block_encoding(v.first); }))
    entries.push_back({"general.quantization_version", uint32_t{2}});
}

uint64_t planned_bytes(const std::vector<TensorPlan>& plan) {
  uint64_t total = 0;
  for (const TensorPlan& tensor : plan) total = checked_add(total, tensor_bytes(tensor), "model size");
  return total;
}

// Adds "pad_token_id" of a config.json.
void add_pad_token(const ModelConfig& config, std::vector<GgufEntry>& entries) {
  if (config.other_keys.empty()) return;
  const Json others = parse_json(config.other_keys, "other keys of config.json");
  const auto pad = others.find("pad_token_id");
  if (pad != others.end() && pad->is_number_unsigned() &&
      pad->get<uint64_t>() < static_cast<uint64_t>(config.vocab_size))
    entries.push_back({"tokenizer.ggml.padding_token_id", pad->get<uint32_t>()});
}

// Adds BOS and every end. GGUF knows one token before a text and one after it: BOS and the first end.
void add_template_tokens(const ModelConfig& config, const TokenizerSpec& spec, const ChatInfo& chat,
                         std::vector<GgufEntry>& entries) {
  std::optional<int32_t> bos = chat.bos ? chat.bos : config.bos;
  std::vector<int32_t> ends;
  if (chat.eos) ends.push_back(*chat.eos);
  add_ends(config.eos, ends);
  if (!spec.prefix.empty()) bos = spec.prefix.front();
  if (!spec.suffix.empty() && ends.empty()) ends.push_back(spec.suffix.front());
  const std::optional<int32_t> eos = ends.empty() ? std::nullopt : std::optional(ends.front());
  if (spec.prefix.size() > 1 || spec.suffix.size() > 1 ||
      (spec.suffix.size() == 1 && spec.suffix.front() != eos))
    log_warning("the tokenizer puts other tokens around a text than BOS and EOS: GGUF cannot say so");
  if (bos) entries.push_back({"tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*bos)});
  if (eos) entries.push_back({"tokenizer.ggml.eos_token_id", static_cast<uint32_t>(*eos)});
  std::vector<std::string> tokens = spec.vocab;
  for (const AddedToken& added : spec.added) {
    const auto id = static_cast<size_t>(added.id);
    tokens.resize(std::max(tokens.size(), id + 1));
    tokens[id] = added.text;
  }
  for (GgufEntry& entry : gguf_end_entries(ends, tokens)) entries.push_back(std::move(entry));
}

// Returns the input's metadata beside its weights, shapes and tokenizer.
std::vector<GgufEntry> further_metadata(const std::filesystem::path& input) {
  std::vector<GgufEntry> entries = gguf_sampling_entries(read_generation_config(input));
  for (GgufEntry& entry : general_entries(input)) entries.push_back(std::move(entry));
  if (is_gguf_path(input))
    for (GgufEntry& entry : other_gguf_entries(read_gguf(input).metadata))
      entries.push_back(std::move(entry));
  return entries;
}

// Returns all metadata of a file; but for the type of its matrices where there is no plan.
std::vector<GgufEntry> all_entries(const Architecture& architecture, const ModelConfig& config,
                                   const std::vector<TensorPlan>& plan, const Tokenizer& tokenizer,
                                   const ChatInfo& chat, const std::string& manifest,
                                   std::span<const GgufEntry> further) {
  std::vector<GgufEntry> entries = architecture.write_gguf(config);
  add_file_type(plan, entries);
  for (GgufEntry& entry : gguf_tokenizer_entries(tokenizer, config.vocab_size))
    entries.push_back(std::move(entry));
  add_template_tokens(config, tokenizer.spec(), chat, entries);
  for (GgufEntry& entry : gguf_template_entries(chat.templates)) entries.push_back(std::move(entry));
  add_pad_token(config, entries);
  if (!manifest.empty()) entries.push_back({kManifestKey, manifest});
  for (const GgufEntry& entry : further)
    if (std::none_of(entries.begin(), entries.end(), [&](const GgufEntry& e) { return e.key == entry.key; }))
      entries.push_back(entry);
  return entries;
}

}  // namespace

void save_gguf(const Model& original, const Tokenizer& tokenizer, const std::filesystem::path& path,
               std::optional<Encoding> dtype, const ChatInfo& chat, const std::string& manifest,
               std::span<const GgufEntry> further) {
  const Architecture& architecture = gguf_writing_architecture(original.config);
  PARE_CHECK(!dtype || encoding_info(*dtype).encodable);
  Model model = original;
  add_missing_norms(model);
  TensorTable table = gguf_table(architecture, model, dtype);
  if (dtype) warn_of_exceptions(table.plan(), *dtype);
  const std::vector<GgufEntry> entries =
      all_entries(architecture, model.config, table.plan(), tokenizer, chat, manifest, further);
  require_free_space(
      path.parent_path(),
      checked_add(planned_bytes(table.plan()), gguf_header(table.plan(), entries).size(), "model size"),
      "the model");
  GgufWriter writer(path, table.plan(), entries);
  for (const TensorPlan& plan : table.plan()) {
    const Weight weight = table.weight(plan.name);
    writer.write(plan.name, weight);
    release_pages(weight);
  }
  writer.commit();
}

void require_gguf_of(const std::filesystem::path& input, ModelConfig config) {
  make_values_whole(config);
  const Tokenizer tokenizer = load_tokenizer(input);
  all_entries(gguf_writing_architecture(config), config, {}, tokenizer, read_chat_info(input, tokenizer), {},
              further_metadata(input));
}

int64_t planned_gguf_bytes(const std::filesystem::path& input, const Model& model,
                           std::optional<Encoding> dtype, int64_t manifest_bytes) {
  for (const BlockShape& block : model.config.blocks)
    if (block.value_head_dim != 0 && block.value_head_dim < model.config.head_dim)
      fail(ErrorCode::kUnsupported,
           "values are narrower than keys, and what a GGUF file makes of that has no bytes that are known "
           "before: slicing with `streams hidden` keeps them whole");
  Model whole = model;
  add_missing_norms(whole);
  const Architecture& architecture = gguf_writing_architecture(whole.config);
  const std::vector<TensorPlan> plan = gguf_table(architecture, whole, dtype).plan();
  const Tokenizer tokenizer = load_tokenizer(input);
  return static_cast<int64_t>(gguf_bytes(
      plan, all_entries(architecture, whole.config, plan, tokenizer, read_chat_info(input, tokenizer),
                        std::string(static_cast<size_t>(manifest_bytes), ' '), further_metadata(input))));
}

Model save_gguf_of(const std::filesystem::path& input, const Model& model, const std::filesystem::path& path,
                   std::optional<Encoding> dtype,
                   const std::function<std::string(const ModelSize& size)>& manifest) {
  Model whole = with_whole_values(model);
  ModelSize size = model_size(whole);
  size.bytes = static_cast<int64_t>(
      planned_bytes(gguf_table(gguf_writing_architecture(whole.config), whole, dtype).plan()));
  const Tokenizer tokenizer = load_tokenizer(input);
  const std::string text = manifest(size);
  std::vector<GgufEntry> further = further_metadata(input);
  // It names the size of the model before compression.
  if (!text.empty()) std::erase_if(further, [](const GgufEntry& e) { return e.key == "general.size_label"; });
  save_gguf(whole, tokenizer, path, dtype, read_chat_info(input, tokenizer), text, further);
  return whole;
}

}  // namespace pare
