#include "compress/resume/output.h"

#include "base/atomic_file.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"
#include "checkpoint/model_card.h"
#include "checkpoint/verify_saved.h"
#include "compress/exactness.h"
#include "compress/kept_patterns.h"
#include "io/model_dir.h"
#include "model/storage_facts.h"

namespace pare {
namespace {

void require_read_back(const Model& model, const Model& reloaded, const CalibrationSet& set, Report& report) {
  check_finite(reloaded);
  require_exact("read back", probe_logits(model, set, rounded_like(reloaded)).view(),
                probe_logits(reloaded, set).view(), report, 1e-5);
}

// Writes the model as output.file(), with the manifest inside. Returns the manifest.
Json write_gguf(const Model& model, const std::filesystem::path& input, const OutputFolder& output,
                std::optional<Encoding> dtype, const CalibrationSet& set, Report& report) {
  Json manifest;
  report.linears = linears_by_pattern(model);
  const Model written = save_gguf_of(input, model, output.file(), dtype, [&](const ModelSize& size) {
    report.after = size;
    manifest = report.to_json();
    return manifest.dump(2);
  });
  require_read_back(written, load_model(output.file()), set, report);
  return manifest;
}

// Writes the model as a folder. Returns the manifest.
Json write_folder(const Model& model, const std::filesystem::path& input, const OutputFolder& output,
                  const SaveOptions& options, const CalibrationSet& set, Report& report) {
  copy_tokenizer_files(input, output.path());
  save_hf(model, output.path(), options);
  const Model reloaded = load_model(output.path());
  require_read_back(model, reloaded, set, report);
  report.after = model_size(reloaded);
  report.linears = linears_by_pattern(reloaded);
  Json manifest = report.to_json();
  write_documents(input, output.path(),
                  {.manifest = manifest,
                   .size = report.after,
                   .format = options.format,
                   .own_code = needs_own_code(model, options.format)});
  return manifest;
}

std::optional<Encoding> dtype_of(const SaveOptions& options) {
  return options.dtype ? std::optional(options.dtype->encoding) : std::nullopt;
}

int64_t weight_bytes(const OutputFolder& output) {
  if (is_gguf_path(output.file())) return static_cast<int64_t>(std::filesystem::file_size(output.file()));
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(output.path()))
    if (is_weight_file(entry.path())) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace

int64_t planned_bytes(const Model& model, const std::filesystem::path& input,
                      const std::filesystem::path& output, const SaveOptions& options,
                      const std::vector<Json>& earlier) {
  if (!is_gguf_path(output)) return planned_hf_bytes(model, options);
  // More than the report says of a matrix, and of all else.
  constexpr int64_t kEntryBytes = 320;
  constexpr int64_t kOtherBytes = 16384;
  int64_t matrices = 0;
  for (const RoleSize& role : role_sizes(model)) matrices += role.matrices;
  return planned_gguf_bytes(
      input, model, dtype_of(options),
      static_cast<int64_t>(Json(earlier).dump(4).size()) + kOtherBytes + matrices * kEntryBytes);
}

void write_compressed(const Model& model, const std::filesystem::path& input, OutputFolder& output,
                      const SaveOptions& options, const CalibrationSet& set, Report& report,
                      std::optional<int64_t> most_bytes) {
  const std::optional<Encoding> dtype = dtype_of(options);
  const Json manifest = is_gguf_path(output.file())
                            ? write_gguf(model, input, output, dtype, set, report)
                            : write_folder(model, input, output, options, set, report);
  if (const int64_t bytes = weight_bytes(output); most_bytes && bytes > *most_bytes)
    fail(ErrorCode::kInvalid, "{} bytes of weights were written, and {} were the most that was asked for",
         bytes, *most_bytes);
  // A run that is interrupted now reads it when it goes on, whatever it has written.
  write_file(output.path() / kManifestFile, manifest.dump(2) + "\n");
  output.commit();
}

}  // namespace pare
