#include "compress/quantize/rounding_costs.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"
#include "compress/calibrate/gradient_walk.h"
#include "compress/calibrate/input_group.h"
#include "compress/quantize/round_rows.h"
#include "compress/walk/calibration_walk.h"
#include "model/stage_at.h"
#include "model/visit.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

// Returns W − V, f32.
Weight error_of(const Weight& weight, const Weight& rounded) {
  Matrix<float> error(weight.rows, weight.cols);
  parallel_for(weight.rows, [&](int64_t r) {
    std::vector<float> row(static_cast<size_t>(weight.cols));
    decode_row(weight, r, error.row(r));
    decode_row(rounded, r, row.data());
    for (int64_t c = 0; c < weight.cols; ++c) error(r, c) -= row[static_cast<size_t>(c)];
  });
  return Weight::of_values(std::move(error));
}

}  // namespace

Weight rounded_alone(const Weight& weight, Encoding encoding, std::span<const double> importance) {
  if (weight.format == WeightFormat(encoding)) return weight;
  const int64_t stride = row_bytes(encoding, weight.cols);
  const std::vector<double> ones(importance.empty() ? static_cast<size_t>(weight.cols) : 0, 1.0);
  const double* h = importance.empty() ? ones.data() : importance.data();
  return encoded_weight(encoding, weight.rows, weight.cols, [&](std::byte* bytes) {
    parallel_for(weight.rows, [&](int64_t r) {
      std::vector<float> row(static_cast<size_t>(weight.cols));
      decode_row(weight, r, row.data());
      std::byte* to = bytes + r * stride;
      if (is_float(encoding)) return encode_values(encoding, row.data(), weight.cols, to);
      RowGrid grid(encoding, weight.cols);
      const std::vector<double> values(row.begin(), row.end());
      grid.round_row(values.data(), h);
      put_row_codes(encoding, grid.codes(), to);
    });
  });
}

// Adds up what the walk shows.
class RoundingCosts::Visitor final : public GradientVisitor {
 public:
  Visitor(const Model& model, const CalibrationSet& set, const std::vector<RoundingUnit>& units,
          RoundingCosts& costs)
      : model_(model), set_(set), stages_(stage_count(model)), costs_(costs) {
    for (const RoundingUnit& unit : units) {
      units_.emplace(unit.name, &unit);
      costs_.costs_[unit.name].assign(unit.options.size(), 0.0);
    }
  }

  void signal(size_t stage, Signal signal, const Activation& x) override {
    if (signal != Signal::kNormed && signal != Signal::kValueStream && signal != Signal::kHiddenStream)
      return;
    const HostRows rows = download(x);
    std::vector<double>& squares = squares_[{stage, signal}];
    squares.resize(static_cast<size_t>(x.cols()));
    for (int64_t t = 0; t < x.rows(); ++t)
      for (int64_t c = 0; c < x.cols(); ++c) {
        const auto value = static_cast<double>(rows.view()(t, c));
        squares[static_cast<size_t>(c)] += value * value;
      }
  }

  void predictions(const Activation& x, MatrixView<const float> probabilities) override {
    if (!began_head_) begin_head();
    const Backend& on = x.backend();
    for (size_t o = 0; o < head_errors_.size(); ++o) {
      if (!head_errors_[o]) continue;
      const Activation out = on.allocate(x.rows(), head_errors_[o]->out_features());
      head_errors_[o]->apply(x, out);
      const HostRows rows = download(out);
      std::vector<double> variances(static_cast<size_t>(x.rows()));
      parallel_for(x.rows(), [&](int64_t t) {
        double mean = 0.0;
        double square = 0.0;
        const float* p = probabilities.row(t);
        const float* e = rows.view().row(t);
        for (int64_t v = 0; v < probabilities.cols; ++v) {
          const double weighted = static_cast<double>(p[v]) * static_cast<double>(e[v]);
          mean += weighted;
          square += weighted * static_cast<double>(e[v]);
        }
        variances[static_cast<size_t>(t)] = square - mean * mean;
      });
      add(head_, o, std::accumulate(variances.begin(), variances.end(), 0.0));
    }
  }

  void begin_stage(size_t stage) override {
    head_errors_.clear();
    errors_.clear();
    const auto block = block_of_stage(model_, stage);
    for_each_linear(stage_at(model_, stage), [&](Role role, const Linear& linear) {
      const MatrixName name{role, block};
      set_importance(name, stage, signal_read_by(role));
      if (units_.count(name) > 0) errors_[role] = packed_errors(name, linear.weight);
    });
  }

  void linears(size_t stage, int64_t /*sequence*/, std::span<const Role> roles, const Activation& x,
               const Activation& dy) override {
    const auto block = block_of_stage(model_, stage);
    int64_t column = 0;
    for (const Role role : roles) {
      const int64_t width = linear_of(stage_at(model_, stage), role).weight.rows;
      const Activation gradient = dy.columns_of(column, width);
      column += width;
      const auto errors = errors_.find(role);
      if (errors == errors_.end()) continue;
      const HostRows g = download(gradient);
      for (size_t o = 0; o < errors->second.size(); ++o) {
        if (!errors->second[o]) continue;
        const Activation out = x.backend().allocate(x.rows(), width);
        errors->second[o]->apply(x, out);
        add({role, block}, o, sum_of_squared_sums(g.view(), download(out).view()));
      }
    }
  }

  void stream(int64_t sequence, const Activation& dy) override {
    const MatrixName name{Role::kEmbedding, -1};
    const auto unit = units_.find(name);
    if (unit == units_.end()) return;
    Activation gradient = dy;
    if (!model_.embedding_transform.empty())
      gradient = applied(*pack_transposed(model_.embedding_transform, calibration_compute()), dy);
    const HostRows g = download(gradient);
    const std::vector<int32_t>& tokens = set_.sequences[static_cast<size_t>(sequence)];
    for (size_t o = 0; o < unit->second->options.size(); ++o) {
      Matrix<float> errors(gradient.rows(), gradient.cols());
      parallel_for(gradient.rows(), [&](int64_t t) {
        const Weight row = rows_of(model_.embedding, tokens[static_cast<size_t>(t)], 1);
        decode_row(error_of(row, rounded_alone(row, unit->second->options[o], costs_.importance(name))), 0,
                   errors.row(t));
      });
      add(name, o, sum_of_squared_sums(g.view(), errors.view()));
    }
  }

 private:
  using Errors = std::vector<std::unique_ptr<PackedLinear>>;  // for each option; null: there is no error

  // Returns Σ_r (Σ_t a_tr · b_tr)² over columns r and rows t.
  static double sum_of_squared_sums(MatrixView<const float> a, MatrixView<const float> b) {
    constexpr int64_t kColumns = 64;
    std::vector<double> squares(static_cast<size_t>((a.cols + kColumns - 1) / kColumns));
    parallel_for(static_cast<int64_t>(squares.size()), [&](int64_t i) {
      const int64_t first = i * kColumns;
      const int64_t count = std::min(kColumns, a.cols - first);
      double sums[kColumns] = {};
      for (int64_t t = 0; t < a.rows; ++t)
        for (int64_t c = 0; c < count; ++c)
          sums[c] += static_cast<double>(a(t, first + c)) * static_cast<double>(b(t, first + c));
      for (const double sum : sums) squares[static_cast<size_t>(i)] += sum * sum;
    });
    return std::accumulate(squares.begin(), squares.end(), 0.0);
  }
  // Adds half of what some tokens of the walk's cost.
  void add(const MatrixName& name, size_t option, double sum) {
    costs_.costs_.at(name)[option] += 0.5 * sum / static_cast<double>(set_.tokens());
  }
  void set_importance(const MatrixName& name, size_t stage, Signal signal) {
    std::vector<double> mean = squares_.at({stage, signal});
    for (double& value : mean) value /= static_cast<double>(set_.tokens());
    costs_.importances_[name] = std::move(mean);
  }
  Errors packed_errors(const MatrixName& name, const Weight& weight) const {
    Errors errors;
    for (const Encoding option : units_.at(name)->options) {
      errors.emplace_back();
      if (weight.format == WeightFormat(option)) continue;
      const Weight error = error_of(weight, rounded_alone(weight, option, costs_.importance(name)));
      errors.back() = pack_linear(error, calibration_compute());
    }
    return errors;
  }
  void begin_head() {
    began_head_ = true;
    head_ = {model_.head_role(), -1};
    set_importance(head_, stages_, Signal::kNormed);
    if (units_.count(head_) > 0) head_errors_ = packed_errors(head_, model_.head_weight());
  }

  const Model& model_;
  const CalibrationSet& set_;
  size_t stages_;
  RoundingCosts& costs_;
  std::map<MatrixName, const RoundingUnit*> units_;
  std::map<std::pair<size_t, Signal>, std::vector<double>> squares_;  // sums over tokens, for each input
  std::map<Role, Errors> errors_;                                     // by option, in the current stage
  bool began_head_ = false;
  MatrixName head_;
  Errors head_errors_;
};

RoundingCosts::RoundingCosts(const Model& model, const CalibrationSet& set,
                             const std::vector<RoundingUnit>& units, const PassProgress& progress) {
  Visitor visitor(model, set, units, *this);
  int64_t done = 0;
  const auto steps = static_cast<int64_t>(2 * stage_count(model));
  GradientWalk(model, set, 0, static_cast<int64_t>(set.sequences.size())).run(visitor, [&] {
    if (progress) progress("foreseeing what formats cost", ++done, steps);
  });
}

std::span<const double> RoundingCosts::importance(const MatrixName& name) const {
  const auto found = importances_.find(name);
  if (found == importances_.end()) return {};
  return found->second;
}

}  // namespace pare
