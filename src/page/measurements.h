// What `pare eval --json` and `pare bench --json` have measured, matched to the models of a page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pare {

// A model that rows of the files are matched to.
struct MeasuredModel {
  std::string path;
  std::string name;  // what the page calls it
  int64_t bytes = 0;
};

struct MeasuredRow {
  std::string name;
  std::string program = {};  // name of the program that measured a foreign row
  bool is_given = false;     // it is one of the models, not a row of its own
  std::optional<int64_t> bytes = {};
  std::optional<double> perplexity = {};
  std::optional<double> kl = {};
  std::optional<double> top1 = {};        // 0 to 1
  std::optional<double> tasks_mean = {};  // 0 to 1
  std::optional<double> prefill = {};     // tokens per second
  std::optional<double> decode = {};

  bool has_quality() const { return perplexity || kl || top1 || tasks_mean; }
};

struct Measurements {
  std::vector<MeasuredRow> rows;  // the models in their order, then the rows that are none of them
  std::string quality = {};       // text and type of products, in words; empty: no file says so
  std::string speed = {};         // settings of the speeds, in words
  std::string baseline = {};      // name of what KL is the distance from
};

// Reads the files. A row belongs to the model of its path, or else to the one model whose file or folder has
// the name of the row's. A row of none becomes a row of its own, with a warning unless its "program" says who
// measured it. Throws kNotFound, kIo, kFormat where a file is something else, and kInvalid where figures do
// not compare: rows that fit several models, sizes that are not the model's, files of different texts or
// settings, and two values of one figure.
Measurements read_measurements(const std::vector<MeasuredModel>& models,
                               const std::vector<std::string>& eval_files,
                               const std::vector<std::string>& bench_files);

}  // namespace pare
