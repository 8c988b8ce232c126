#include "model/save.h"

#include <algorithm>
#include <map>

#include "base/atomic_file.h"
#include "base/log.h"
#include "io/gguf.h"
#include "model/arch/architecture.h"
#include "model/build.h"
#include "model/gguf_tokenizer.h"
#include "model/hf_modeling.h"
#include "model/visit.h"

namespace pare {
namespace {

Encoding stored_encoding(Encoding current, std::optional<Encoding> dtype) {
  if (dtype) return *dtype;
  return encoding_info(current).block_values > 1 ? Encoding::kBF16 : current;
}

// The model's main type holds these values exactly, or f32 does.
Encoding vector_encoding(const std::vector<float>& values, Encoding wanted) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::vector<float> back(values.size());
  encode_values(wanted, values.data(), static_cast<int64_t>(values.size()), bytes.data());
  decode_values(wanted, bytes.data(), static_cast<int64_t>(values.size()), back.data());
  return std::equal(values.begin(), values.end(), back.begin()) ? wanted : Encoding::kF32;
}

Weight vector_weight(const std::vector<float>& values) {
  const auto n = static_cast<int64_t>(values.size());
  return Weight::from_matrix(MatrixView<const float>{values.data(), 1, n, n});
}

// All tensors of a model under the names of one file format.
class TensorTable {
 public:
  void add(const std::string& name, std::vector<int64_t> shape, Encoding encoding, Weight weight) {
    plan_.push_back({name, encoding, std::move(shape)});
    weights_.emplace(name, std::move(weight));
  }
  std::vector<TensorPlan>& plan() { return plan_; }
  const Weight& weight(const std::string& name) const { return weights_.at(name); }

 private:
  std::vector<TensorPlan> plan_;
  std::map<std::string, Weight> weights_;
};

const Architecture& architecture_of(const Model& model) {
  return architecture_named(model.config.architecture);
}

// A norm's weights as a file stores them: ones when the model has none.
void add_missing_norms(Model& model) {
  const auto fill = [](Norm& norm, int64_t width) {
    if (norm.weight.empty()) norm.weight.assign(static_cast<size_t>(width), 1.0f);
  };
  int64_t width = model.config.embedding_width;
  for (Block& block : model.blocks) {
    for (Stage& stage : block.stages) {
      if (!stage.branches.empty()) fill(stage.norm, width);
      if (!stage.skip.empty()) width = stage.skip.rows;
    }
  }
  fill(model.final_norm, width);
}

TensorTable hf_table(const Model& model, std::optional<Encoding> dtype) {
  const Architecture& architecture = architecture_of(model);
  const Encoding vector_type = stored_encoding(model.embedding.encoding, dtype);
  TensorTable table;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        table.add(hf_name(architecture, place), {weight.rows, weight.cols},
                  stored_encoding(weight.encoding, dtype), weight);
      },
      [&](const TensorPlace& place, const std::vector<float>& values) {
        table.add(hf_name(architecture, place), {static_cast<int64_t>(values.size())},
                  vector_encoding(values, vector_type), vector_weight(values));
      });
  sort_like_safetensors(table.plan());
  return table;
}

bool is_rotary(const TensorPlace& place) { return place.role == Role::kQuery || place.role == Role::kKey; }

TensorTable gguf_table(const Model& model, std::optional<Encoding> dtype) {
  const Architecture& architecture = architecture_of(model);
  const int64_t head_dim = model.config.head_dim;
  const bool interleave = architecture.gguf_interleaved_rope;
  TensorTable table;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        Weight stored = weight;
        if (interleave && is_rotary(place))
          stored = gather_rows(weight, interleaved_order(weight.rows / head_dim, head_dim));
        table.add(gguf_name(architecture, place), {weight.rows, weight.cols},
                  stored_encoding(weight.encoding, dtype), stored);
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
                  vector_weight(stored));
      });
  for (const auto& [name, values] : architecture.extra_gguf_tensors(model.config))
    table.add(name, {static_cast<int64_t>(values.size())}, Encoding::kF32, vector_weight(values));
  return table;
}

// general.file_type of llama.cpp: the type of most weights.
uint32_t gguf_file_type(Encoding encoding) {
  if (encoding == Encoding::kF32) return 0;
  return encoding == Encoding::kF16 ? 1 : 32;
}

// BOS and EOS. GGUF knows one token before a text and one after it: these.
void add_template_tokens(const ModelConfig& config, const TokenizerSpec& spec, const ChatInfo& chat,
                         std::vector<GgufEntry>& entries) {
  std::optional<int32_t> bos = chat.bos ? chat.bos : config.bos;
  std::optional<int32_t> eos = chat.eos;
  if (!eos && !config.eos.empty()) eos = config.eos.front();
  if (!spec.prefix.empty()) bos = spec.prefix.front();
  if (!spec.suffix.empty() && !eos) eos = spec.suffix.front();
  if (spec.prefix.size() > 1 || spec.suffix.size() > 1 ||
      (spec.suffix.size() == 1 && spec.suffix.front() != eos))
    log_warning("the tokenizer puts other tokens around a text than BOS and EOS: GGUF cannot say so");
  if (bos) entries.push_back({"tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*bos)});
  if (eos) entries.push_back({"tokenizer.ggml.eos_token_id", static_cast<uint32_t>(*eos)});
}

}  // namespace

bool is_plain(const Model& model) { return architecture_of(model).is_plain(model.config); }

void save_hf(const Model& original, const std::filesystem::path& folder, std::optional<Encoding> dtype,
             uint64_t max_shard_bytes) {
  Model model = original;
  add_missing_norms(model);
  TensorTable table = hf_table(model, dtype);
  write_model_tensors(
      folder, table.plan(), [&](const TensorPlan& plan) { return table.weight(plan.name); }, max_shard_bytes);
  if (!is_plain(model))
    for (const ModelingFile& file : hf_modeling_files()) write_file(folder / file.name, file.text);
  Json config = architecture_of(model).write_config(model.config);
  const Encoding main_type = stored_encoding(model.embedding.encoding, dtype);
  config["torch_dtype"] = main_type == Encoding::kF32   ? "float32"
                          : main_type == Encoding::kF16 ? "float16"
                                                        : "bfloat16";
  write_file(folder / "config.json", config.dump(2) + "\n");
}

void save_gguf(const Model& original, const Tokenizer& tokenizer, const std::filesystem::path& path,
               std::optional<Encoding> dtype, const ChatInfo& chat) {
  if (!is_plain(original))
    fail(ErrorCode::kUnsupported,
         "a GGUF file cannot hold this model: its layers differ in shape or the residual stream passes "
         "matrices; "
         "only dense models and slices of one width for all layers can be written");
  Model model = original;
  add_missing_norms(model);
  std::vector<GgufEntry> entries = architecture_of(model).write_gguf(model.config);
  entries.push_back({"general.file_type", gguf_file_type(stored_encoding(model.embedding.encoding, dtype))});
  for (GgufEntry& entry : gguf_tokenizer_entries(tokenizer, model.config.vocab_size))
    entries.push_back(std::move(entry));
  add_template_tokens(model.config, tokenizer.spec(), chat, entries);
  if (!chat.chat_template.empty()) entries.push_back({"tokenizer.chat_template", chat.chat_template});
  TensorTable table = gguf_table(model, dtype);
  GgufWriter writer(path, table.plan(), entries);
  for (const TensorPlan& plan : table.plan()) writer.write(plan.name, table.weight(plan.name));
  writer.commit();
}

}  // namespace pare
