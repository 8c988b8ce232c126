#include "checkpoint/load.h"

#include <algorithm>

#include "base/log.h"
#include "base/mapped_file.h"
#include "base/named_errors.h"
#include "checkpoint/build.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/other_keys.h"
#include "io/checks.h"
#include "io/foreign_files.h"
#include "io/model_dir.h"
#include "text/tokenizer/tokenizer_folder.h"

namespace pare {
namespace {

constexpr uint64_t kMaxConfigBytes = 16 << 20;

// Throws for a path that cannot be a model, saying what it is instead.
void require_model(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail(ErrorCode::kNotFound, "{} does not exist", path.string());
  std::string other;
  if (!std::filesystem::is_directory(path))
    other = describe_foreign_file(path);
  else if (!std::filesystem::exists(path / "config.json"))
    other = describe_foreign_folder(path);
  if (!other.empty()) fail(ErrorCode::kUnsupported, "{} {}", path.string(), other);
}

// Throws for GGUF files that are no model: adapters, projectors of pictures and importance matrices.
void require_whole_model(const GgufFile& file) {
  const std::string* type = file.metadata.find_string("general.type");
  if (type != nullptr && *type != "model")
    fail(ErrorCode::kUnsupported, "{} is no model: its general.type is \"{}\"{}", file.name, printable(*type),
         *type == "adapter" ? " (LoRA): merge it into its model first" : "");
}

// Adds the ends of both files. A file that has all ends of the other and more needs no message: files
// of instruction-tuned models are often so.
void add_generation_ends(const std::filesystem::path& folder, std::vector<int32_t>& ends) {
  const std::vector<int32_t> more = read_generation_ends(folder);
  const auto includes = [](const std::vector<int32_t>& all, const std::vector<int32_t>& some) {
    return std::all_of(some.begin(), some.end(),
                       [&](int32_t id) { return std::find(all.begin(), all.end(), id) != all.end(); });
  };
  if (!includes(ends, more) && !includes(more, ends))
    log_warning("{}: config.json ends a text at {}, generation_config.json at {}: each of them ends it",
                folder.string(), fmt::join(ends, ", "), fmt::join(more, ", "));
  add_ends(more, ends);
}

Json read_config_json(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  return parse_json(read_file(path, kMaxConfigBytes), path.string());
}

Model load(const std::filesystem::path& path) {
  if (is_gguf_path(path)) {
    const GgufFile file = read_gguf(path);
    require_whole_model(file);
    const Architecture& architecture = gguf_architecture(file.metadata.get_string("general.architecture"));
    return build_model(architecture, architecture.read_gguf(file),
                       {path.string(), file.tensors, {}, TensorNaming::kGguf, {}});
  }
  const Json json = read_config_json(path);
  const Architecture& architecture = find_architecture(json);
  ModelConfig config = architecture.read_config(json);
  config.other_keys = other_keys_of(json);
  add_generation_ends(path, config.eos);
  const Storage storage = read_storage(json);
  const ModelTensors files = read_model_tensors(path);
  return build_model(architecture, config,
                     {path.string(), files.tensors, files.skipped, TensorNaming::kHuggingFace, storage});
}

}  // namespace

bool is_gguf_path(const std::filesystem::path& path) {
  return path.extension() == ".gguf" || std::filesystem::is_regular_file(path);
}

Model load_model(const std::filesystem::path& path) {
  require_model(path);
  return naming(path.string(), [&] { return load(path); });
}

Tokenizer load_tokenizer(const std::filesystem::path& path) {
  require_model(path);
  return naming(path.string(), [&] {
    return is_gguf_path(path) ? tokenizer_from_gguf(read_gguf(path)) : tokenizer_from_folder(path);
  });
}

}  // namespace pare
