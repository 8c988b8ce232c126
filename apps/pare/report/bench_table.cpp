#include "report/bench_table.h"

#include "base/quantities.h"
#include "report/table.h"

namespace pare {
namespace {

// Writes "amx_2of4_bf16 ×64, amx_bf16 ×1".
std::string kernels_text(const Json& kernels) {
  std::string text;
  for (const Json& kernel : kernels)
    text += fmt::format("{}{} ×{}", text.empty() ? "" : ", ", kernel.at("kernel").get<std::string>(),
                        kernel.at("linears").get<int64_t>());
  return text;
}

// Says which kernels run, and where fewer bytes do not make a model faster than the first one.
std::string notes(const Json& models) {
  const Json& first = models.front();
  std::string text;
  for (const Json& m : models) {
    text += fmt::format("{}: {}\n", m.at("path").get<std::string>(), kernels_text(m.at("kernels")));
    for (size_t rank = 0; m.contains("ranks") && rank < m["ranks"].size(); ++rank)
      text += fmt::format("  rank {}: {} of weights a token, peak RSS {}\n", rank,
                          format_bytes(m["ranks"][rank].at("weight_bytes_per_token").get<int64_t>()),
                          format_bytes(m["ranks"][rank].at("peak_rss").get<int64_t>()));
    for (const char* what : {"prefill", "decode"}) {
      const std::string key = fmt::format("{}_tokens_per_second", what);
      const double ratio = m.at(key).get<double>() / first.at(key).get<double>();
      if (m.at("bits_per_weight").get<double>() < first.at("bits_per_weight").get<double>() && ratio < 1.0)
        text += fmt::format("  fewer bits a weight than {}, but not faster in {}: {:.2f} of its speed\n",
                            first.at("path").get<std::string>(), what, ratio);
    }
  }
  return text;
}

}  // namespace

std::string bench_table(const Json& report) {
  const bool profile = report.at("profile").get<bool>();
  std::vector<std::string> header = {"model",       "prefill/s", "decode/s", "ratio",     "bits/weight",
                                     "bytes/token", "of memory", "peak RSS", "weights+KV"};
  if (profile) header.insert(header.end(), {"linears, prefill", "linears, decode"});
  Table table(header);
  const Json& models = report.at("models");
  const double baseline = models.front().at("decode_tokens_per_second").get<double>();
  for (const Json& m : models) {
    const auto number = [&](const char* key) { return m.at(key).get<double>(); };
    const auto bytes = [&](const char* key) { return format_bytes(static_cast<int64_t>(number(key))); };
    const auto percent = [&](const char* key) { return fmt::format("{:.1f} %", 100.0 * number(key)); };
    std::vector<std::string> row = {m.at("path").get<std::string>(),
                                    fmt::format("{:.1f}", number("prefill_tokens_per_second")),
                                    fmt::format("{:.2f}", number("decode_tokens_per_second")),
                                    fmt::format("{:.2f}", number("decode_tokens_per_second") / baseline),
                                    fmt::format("{:.2f}", number("bits_per_weight")),
                                    bytes("bytes_per_token"),
                                    percent("bandwidth_share"),
                                    bytes("peak_rss"),
                                    bytes("resident_bytes")};
    if (profile) row.insert(row.end(), {percent("linear_share_prefill"), percent("linear_share_decode")});
    table.add(row);
  }
  return fmt::format(
             "{}, {} threads, prefill {}, decode {} after {}, median of {}; memory reads {:.1f} GB/s\n",
             report.at("dtype").get<std::string>(), report.at("threads").get<int>(),
             report.at("prefill").get<int64_t>(), report.at("decode").get<int64_t>(),
             report.at("depth").get<int64_t>(), report.at("repeats").get<int64_t>(),
             report.at("memory_bytes_per_second").get<double>() / 1e9) +
         table.text() + notes(models);
}

}  // namespace pare
