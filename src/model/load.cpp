#include "model/load.h"

#include "base/mapped_file.h"
#include "io/model_dir.h"
#include "model/build.h"
#include "model/gguf_tokenizer.h"
#include "text/tokenizer_folder.h"

namespace pare {
namespace {

constexpr uint64_t kMaxConfigBytes = 16 << 20;

void require_exists(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail(ErrorCode::kNotFound, "{} does not exist", path.string());
}

Json read_config_json(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  return parse_json(read_file(path, kMaxConfigBytes), path.string());
}

}  // namespace

bool is_gguf_path(const std::filesystem::path& path) {
  return path.extension() == ".gguf" || std::filesystem::is_regular_file(path);
}

Model load_model(const std::filesystem::path& path) {
  require_exists(path);
  if (is_gguf_path(path)) {
    const GgufFile file = read_gguf(path);
    const Architecture& architecture = gguf_architecture(file.metadata.get_string("general.architecture"));
    return build_model(architecture, architecture.read_gguf(file),
                       {path.string(), file.tensors, {}, TensorNaming::kGguf, {}});
  }
  const Json json = read_config_json(path);
  const Architecture& architecture = find_architecture(json);
  const ModelConfig config = architecture.read_config(json);
  const Storage storage = read_storage(json);
  const ModelTensors files = read_model_tensors(path);
  return build_model(architecture, config,
                     {path.string(), files.tensors, files.skipped, TensorNaming::kHuggingFace, storage});
}

Tokenizer load_tokenizer(const std::filesystem::path& path) {
  require_exists(path);
  if (is_gguf_path(path)) return tokenizer_from_gguf(read_gguf(path));
  return tokenizer_from_folder(path);
}

}  // namespace pare
