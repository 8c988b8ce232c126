#include "compress/output.h"

#include "base/atomic_file.h"
#include "compress/probe.h"
#include "model/load.h"
#include "model/verify_saved.h"

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
  write_file(output.path() / "pare.json", report.to_json().dump(2) + "\n");
  output.commit();
}

}  // namespace pare
