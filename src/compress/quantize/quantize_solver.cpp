#include "compress/quantize/quantize_solver.h"

#include "compress/quantize/round_rows.h"

namespace pare {

Weight rounded(const CalibratedLinear& linear, const QuantizeOptions& options, Encoding encoding,
               Report& report, const std::function<void(int64_t)>& done) {
  const Weight& weight = linear.weight();
  Json entry = {{"name", linear.name()}, {"format", encoding_info(encoding).name}, {"relative_error", 0.0}};
  if (weight.format == WeightFormat(encoding)) {
    report.add("quantization", std::move(entry));
    return weight;
  }
  const int64_t stride = row_bytes(encoding, weight.cols);
  OutputError error = linear.output_error();
  Weight result = encoded_weight(encoding, weight.rows, weight.cols, [&](std::byte* bytes) {
    linear.for_each_rows([&](const LinearRows& rows) {
      error.add(rows.target,
                round_rows(rows.target, linear.gram(), options, encoding, bytes + rows.first * stride));
      if (done) done(rows.first + rows.target.rows);
    });
  });
  entry["relative_error"] = error.relative();
  report.add("quantization", std::move(entry));
  return result;
}

Weight QuantizeSolver::solve(const CalibratedLinear& linear, Report& report) {
  const Encoding encoding =
      options_.format.encoding_of(linear.role(), linear.position().block,
                                  static_cast<int64_t>(config_.blocks.size()), linear.weight().cols);
  return rounded(linear, options_, encoding, report);
}

}  // namespace pare
