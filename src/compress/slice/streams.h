// Slicing the streams inside a stage: a basis, a Gram matrix, a width; an exact change of basis, a cut, and a
// closed-form refit of the linear that reads the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "compress/calibrate/input_sums.h"
#include "compress/walk/sample_split.h"
#include "linalg/linalg.h"
#include "model/stage_at.h"
#include "runtime/forward.h"

namespace pare {

// The two streams inside a stage that can be cut without touching the residual stream.
enum class StreamKind {
  kHidden,  // between gate/up and down; cut to a set of neurons
  kValue,   // between v and o, inside every KV head; cut to a subspace
};

// Every branch of a stage has one stream; a stage has at most one of each kind.
StreamKind stream_kind(const Stage& stage, size_t branch = 0);
// Returns the role of the linear that reads the stream of a branch.
Role stream_reader(const Stage& stage, size_t branch = 0);
// Returns the width of a branch's stream: neurons, or value dimensions per KV head.
int64_t stream_width(const Stage& stage, size_t branch = 0);
// Parameters of the branch that one unit of width costs.
int64_t parameters_per_width(const Stage& stage, size_t branch = 0);
// Columns of the stream as its reader sees them: neurons, or heads · value dimensions.
int64_t stream_columns(const Stage& stage, size_t branch = 0);

// Returns a granularity: widths of hidden streams are multiples of `interval`, and of M where their reader is
// N:M sparse, so that whole groups are cut.
int64_t hidden_granularity(const Model& model, int64_t interval);

// A stream of a model: the index of its stage in the model's order, and its branch.
struct StreamPlace {
  size_t stage = 0;
  size_t branch = 0;

  bool operator==(const StreamPlace&) const = default;
};
// Returns all streams, in order.
std::vector<StreamPlace> streams_of(const Model& model);

// Returns Gram matrices Σ zzᵀ (n, n), n = stream_columns, of the streams of some branches of a stage. `run`
// runs the stage once on every sequence of this rank, with an observer. All ranks get the sums over all
// sequences. `kept`: null, or store of the stream's rows; then there is one branch.
std::vector<Matrix<double>> run_for_grams(const Stage& stage, const std::vector<size_t>& branches,
                                          const SampleSplit& split,
                                          const std::function<void(const Observer&)>& run,
                                          KeptRows* kept = nullptr);

struct StreamCut {
  Stage stage;                  // with f32 weights
  double relative_error = 0.0;  // ‖Y − Y'‖² / ‖Y‖² of the reader's output on the calibration tokens
  int raised = 0;               // number of raises of the damping
  // spectrum_of the units: of a hidden stream the neurons' energies gram_jj·‖W_down[:, j]‖², of a value
  // stream the eigenvalues of H^½·M·H^½, summed over KV heads.
  std::vector<double> spectrum;
  // Value streams: matrix to add to the old reader's weight to get the same outputs from the uncut
  // stream, (out, stream_columns).
  Matrix<double> reader_change;
};

// Cuts one stream to any width up to `max_width`. `gram` (n, n), n = stream_columns: Σ zzᵀ of the stream over
// calibration tokens. `ridge`: damping of the refit, relative to the mean of the diagonal of the stream's
// Gram matrix in its new basis. Hidden: keeps the neurons of largest energy gram_jj·‖W_down[:, j]‖², then
// W_down ← W_down·G[:, S]·(G[S, S] + λI)⁻¹ (the Nyström step of MoDeGPT, arXiv 2408.09632). Where W_down is
// N:M sparse and M divides the widths, whole groups of M neurons go, and only the weights that are there are
// refitted: the pattern stays. Value: per KV head the subspace that loses least of o's output, from the
// SVD of M^½·H^½ with H = Σ zzᵀ and M = Σ OᵀO over its query heads (after FLAT-LLM, arXiv 2505.23966), folded
// into v; then the same refit of o over all heads together. A smaller width keeps the beginning of what a
// larger one keeps: one factorisation serves all widths.
class StreamCutter {
 public:
  StreamCutter(const Stage& stage, MatrixView<const double> gram, int64_t max_width, double ridge,
               size_t branch = 0);
  StreamCut cut(int64_t width) const;
  // Returns cut(width).relative_error without the damping's small share: costs next to nothing.
  double local_error(int64_t width) const;

 private:
  void encode_heads(const Matrix<double>& reader, const Matrix<double>& output, MatrixView<const double> gram,
                    int64_t max_width, Matrix<double>& cross, Matrix<double>& basis_gram);
  int64_t stage_output() const;
  void refit_in_pattern(Matrix<double>& weight) const;
  void keep_neurons(const Matrix<double>& weight, Stage& stage) const;
  void keep_values(const Matrix<double>& weight, int64_t width, StreamCut& cut) const;

  Stage stage_;
  size_t branch_;
  int64_t units_ = 1;   // columns of the new basis for one unit of width
  double total_ = 0.0;  // tr(W·G·Wᵀ)
  double damping_ = 0.0;
  Pattern pattern_;               // hidden: pattern of the reader, where it is to stay; else dense
  Matrix<double> sparse_reader_;  // with a pattern: the reader, columns in the order of order_
  Matrix<double> damped_gram_;    // with a pattern: E·G·Eᵀ + λI
  std::vector<double> spectrum_;
  std::vector<int64_t> order_;            // hidden: neurons by decreasing energy
  std::vector<Matrix<double>> encoders_;  // value: encoders by KV head, (dim, dim)
  Matrix<double> cross_;                  // W·G·Eᵀ, (out, max_width·units)
  std::optional<SpdFactor> factor_;       // factor of E·G·Eᵀ + λI; none for a stream that is always 0
  Matrix<double> forward_;                // cross·L⁻ᵀ
};

// Cuts one stream to a single width with StreamCutter.
StreamCut cut_stream(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge,
                     size_t branch = 0);

}  // namespace pare
