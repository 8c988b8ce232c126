#include "compress/output.h"

#include <cmath>

#include "base/atomic_file.h"
#include "compress/probe.h"
#include "model/load.h"
#include "model/save.h"
#include "model/visit.h"

namespace pare {
namespace {

// The model as it will be read back: every matrix rounded to `dtype`.
Model rounded(const Model& model, Encoding dtype) {
  Model result = model;
  for_each_tensor(
      result,
      [&](const TensorPlace&, Weight& weight) {
        if (weight.encoding != dtype) weight = Weight::from_matrix(decode(weight).view(), dtype);
      },
      [](const TensorPlace&, std::vector<float>&) {});
  return result;
}

}  // namespace

void write_compressed(const Model& model, const std::filesystem::path& input, OutputFolder& output,
                      Encoding dtype, const CalibrationSet& set, Report& report) {
  copy_tokenizer_files(input, output.path());
  const Model stored = rounded(model, dtype);
  save_hf(stored, output.path(), dtype);
  const Model reloaded = load_model(output.path());
  check_finite(reloaded);
  require_exact("read back", probe_logits(stored, set).view(), probe_logits(reloaded, set).view(), report,
                1e-5);
  report.after = model_size(reloaded);
  write_file(output.path() / "pare.json", report.to_json().dump(2) + "\n");
  output.commit();
}

}  // namespace pare
