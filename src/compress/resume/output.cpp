#include "compress/resume/output.h"

#include "base/atomic_file.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"
#include "checkpoint/model_card.h"
#include "checkpoint/verify_saved.h"
#include "compress/exactness.h"
#include "compress/kept_patterns.h"

namespace pare {
void write_compressed(const Model& model, const std::filesystem::path& input, OutputFolder& output,
                      const SaveOptions& options, const CalibrationSet& set, Report& report) {
  copy_tokenizer_files(input, output.path());
  save_hf(model, output.path(), options);
  const Model reloaded = load_model(output.path());
  check_finite(reloaded);
  require_exact("read back", probe_logits(model, set, rounded_like(reloaded)).view(),
                probe_logits(reloaded, set).view(), report, 1e-5);
  report.after = model_size(reloaded);
  report.linears = linears_by_pattern(reloaded);
  const Json manifest = report.to_json();
  write_file(output.path() / kManifestFile, manifest.dump(2) + "\n");
  write_documents(input, output.path(),
                  {.manifest = manifest,
                   .size = report.after,
                   .format = options.format,
                   .own_code = needs_own_code(model, options.format)});
  output.commit();
}

}  // namespace pare
