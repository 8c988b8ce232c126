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

constexpr size_t kMaxFiles = 10000;  // files of a folder that are looked at

struct Format {
  std::string_view name;
  std::span<const std::string_view> extensions;
  std::string_view advice;
};

constexpr std::string_view kSaveAgain =
    "pare reads only safetensors and GGUF (transformers writes them: save_pretrained)";
constexpr std::string_view kSaveFromTensorFlow =
    "pare reads only safetensors and GGUF (transformers 4 writes them: from_pretrained(FOLDER, "
    "from_tf=True), "
    "then save_pretrained)";
constexpr std::string_view kSaveFromFlax =
    "pare reads only safetensors and GGUF (transformers 4 writes them: from_pretrained(FOLDER, "
    "from_flax=True), then save_pretrained)";
constexpr std::string_view kTakeOriginal =
    "a program made for running, of which no checkpoint can be made: take the safetensors or GGUF files of "
    "the same model";

constexpr std::string_view kTensorFlow[] = {".h5", ".pb", ".keras"};
constexpr std::string_view kFlax[] = {".msgpack"};
constexpr std::string_view kOnnx[] = {".onnx", ".onnx_data", ".ort"};
constexpr std::string_view kTorchScript[] = {".torchscript", ".ptl", ".pte"};
constexpr std::string_view kTfLite[] = {".tflite", ".task", ".litertlm"};
constexpr std::string_view kCoreMl[] = {".mlmodel", ".mlpackage", ".mlmodelc"};
constexpr std::string_view kTensorRt[] = {".engine", ".plan"};
constexpr std::string_view kRust[] = {".ot"};
constexpr std::string_view kPyTorch[] = {".bin", ".pt", ".pth", ".ckpt"};

// A folder with several formats is called by the first of them.
constexpr Format kFormats[] = {{"PyTorch weights", kPyTorch, kSaveAgain},
                               {"TensorFlow weights", kTensorFlow, kSaveFromTensorFlow},
                               {"Flax weights", kFlax, kSaveFromFlax},
                               {"ONNX files", kOnnx, kTakeOriginal},
                               {"TorchScript or ExecuTorch files", kTorchScript, kTakeOriginal},
                               {"TensorFlow Lite files", kTfLite, kTakeOriginal},
                               {"Core ML files", kCoreMl, kTakeOriginal},
                               {"TensorRT files", kTensorRt, kTakeOriginal},
                               {"weights of Rust's tch", kRust, kTakeOriginal}};

// Names of files that training leaves beside the weights, with the extensions of weights.
constexpr std::string_view kOfTraining[] = {"training_args", "optimizer", "scheduler", "rng_state", "scaler"};

constexpr std::string_view kArchives[] = {".zip", ".tar", ".gz", ".tgz", ".xz", ".zst", ".7z"};

bool is_among(std::span<const std::string_view> list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// Returns the names of a folder's files, sorted.
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

// Returns the format of a folder's weights, or of its only file; null: no format that is known.
const Format* foreign_format_of(const std::vector<std::string>& names) {
  for (const Format& format : kFormats)
    if (!first_with(names, format.extensions).empty()) return &format;
  return nullptr;
}

bool is_of_training(const std::string& name) {
  return std::any_of(std::begin(kOfTraining), std::end(kOfTraining),
                     [&](std::string_view begin) { return name.starts_with(begin); });
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
  if (has("model_index.json")) return "is a pipeline of diffusers, not a language model";
  if (has("openvino_model.bin") || has("openvino_model.xml"))
    return fmt::format("holds only OpenVINO files (openvino_model.*): {}", kTakeOriginal);
  std::vector<std::string> weights_there = names;
  std::erase_if(weights_there, is_of_training);
  if (const Format* format = foreign_format_of(weights_there))
    return fmt::format("holds only {} ({}): {}", format->name, first_with(weights_there, format->extensions),
                       format->advice);
  if (has("onnx")) return fmt::format("holds only ONNX files (in onnx): {}", kTakeOriginal);
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
  if (const Format* format = foreign_format_of({file.filename().string()}))
    return fmt::format("holds {}: {}", format->name, format->advice);
  if (is_among(kArchives, extension)) return "is an archive: unpack it, and give the folder";
  return {};
}

}  // namespace pare
