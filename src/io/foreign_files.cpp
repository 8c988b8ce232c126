#include "io/foreign_files.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/checks.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 10000;  // of a folder that are looked at

constexpr std::string_view kPyTorch[] = {".bin", ".pt", ".pth", ".ckpt"};
constexpr std::string_view kArchives[] = {".zip", ".tar", ".gz", ".tgz", ".xz", ".zst", ".7z"};
constexpr std::string_view kSaveAgain =
    "pare reads only safetensors and GGUF (transformers writes them: save_pretrained)";

bool is_among(std::span<const std::string_view> list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// Names, sorted.
std::vector<std::string> files_of(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error) fail(ErrorCode::kIo, "cannot list {}: {}", folder.string(), error.message());
  std::vector<std::string> names;
  for (; it != fs::directory_iterator() && names.size() < kMaxFiles; it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string first_with(const std::vector<std::string>& names, std::span<const std::string_view> extensions) {
  for (const std::string& name : names)
    if (is_among(extensions, fs::path(name).extension().string())) return printable(name);
  return {};
}

}  // namespace

std::string describe_foreign_folder(const fs::path& folder) {
  const std::vector<std::string> names = files_of(folder);
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto begins = [&](std::string_view text) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return n.starts_with(text); });
  };
  constexpr std::string_view kGguf[] = {".gguf"};
  constexpr std::string_view kSafetensors[] = {".safetensors"};
  if (has("adapter_config.json"))
    return "is an adapter (LoRA) for another model: merge it into that one first (peft: merge_and_unload), "
           "and "
           "give the folder of the result";
  if (begins("consolidated."))
    return "holds weights in their maker's own format (consolidated.*): take the files for transformers, "
           "config.json and model*.safetensors, of the same model";
  if (const std::string gguf = first_with(names, kGguf); !gguf.empty())
    return fmt::format("is a folder of GGUF files: give one of them as the model, such as {}",
                       (folder / gguf).string());
  if (const std::string weights = first_with(names, kPyTorch); !weights.empty())
    return fmt::format("holds only PyTorch weights ({}): {}", weights, kSaveAgain);
  if (has("model_index.json")) return "is a pipeline of diffusers, not a language model";
  if (const std::string weights = first_with(names, kSafetensors); !weights.empty() && has("config.json"))
    return fmt::format(
        "holds {}, which is no name of a model's weights: rename it to model.safetensors if it is "
        "all of the model",
        weights);
  return {};
}

std::string describe_foreign_file(const fs::path& file) {
  const std::string extension = file.extension().string();
  const fs::path parent = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code ignored;
  const bool in_model = fs::exists(parent / "config.json", ignored);
  if (extension == ".safetensors" || extension == ".json")
    return fmt::format(
        "is one file of a model: give the folder{}{}, with config.json, the weights and the "
        "tokenizer",
        in_model ? " " : "", in_model ? parent.string() : "");
  if (is_among(kPyTorch, extension)) return fmt::format("holds PyTorch weights: {}", kSaveAgain);
  if (is_among(kArchives, extension)) return "is an archive: unpack it, and give the folder";
  return {};
}

}  // namespace pare
