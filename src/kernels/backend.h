// Operations that a model computes with: whole-batch operations on activations, in one place of computation.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kv_store.h"
#include "kernels/linear.h"
#include "tensor/operations.h"
#include "tensor/weight.h"

namespace pare {

// A norm whose weights lie where its backend computes.
class PackedNorm {
 public:
  virtual ~PackedNorm() = default;
};

// A matrix that is read row by row: an embedding, or learned positions.
class RowTable {
 public:
  virtual ~RowTable() = default;
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t bytes() const { return bytes_; }

 protected:
  explicit RowTable(const Weight& weight) : rows_(weight.rows), cols_(weight.cols), bytes_(weight.bytes()) {}

 private:
  int64_t rows_;
  int64_t cols_;
  int64_t bytes_;
};

// cos and sin of the angles of every row's position, both (rows, rotated values of a head / 2).
struct RotaryTable {
  Activation cos;
  Activation sin;
};

// The table of operations of one place of computation. Every activation and every packed value that an
// operation is given was made by this backend. Outputs are given and do not overlap inputs unless stated.
// Operations of one caller happen in the order of its calls; several threads may call.
class Backend {
 public:
  virtual ~Backend() = default;
  // Returns the name: "cpu".
  virtual std::string_view name() const = 0;
  // Returns what the backend runs on: "avx512".
  virtual std::string_view detail() const = 0;

  // Makes activations. allocate() leaves the values undefined.
  virtual Activation allocate(int64_t rows, int64_t cols) const = 0;
  virtual Activation upload(Matrix<float> x) const = 0;
  // Makes an activation of x, which must outlive it; the activation must not be written. No copy is made if
  // the backend computes in the host's memory.
  virtual Activation borrow(MatrixView<const float> x) const = 0;
  virtual HostRows download(Activation x) const = 0;

  // Packs weights at load, once. Weights that read the same input become one linear: outputs of the first,
  // then of the second, …; all have the same number of columns. The bias (out) may be empty. Pages of mapped
  // weights are released once they are packed.
  virtual std::unique_ptr<PackedLinear> pack_linear(std::span<const Weight> stack, std::vector<float> bias,
                                                    ComputeType compute) const = 0;
  // Returns the kernel that pack_linear takes for one weight whose values follow a pattern.
  virtual std::string_view linear_kernel(const Weight& weight, Pattern pattern,
                                         ComputeType compute) const = 0;
  // y = x·Mᵀ for M (out, in), within 2⁻¹⁶ of the largest product: as exact as f32 for sums of many terms, by
  // the fastest means.
  virtual std::unique_ptr<PackedLinear> pack_product(MatrixView<const double> m) const = 0;
  virtual std::unique_ptr<PackedNorm> pack_norm(const Norm& norm) const = 0;
  virtual std::unique_ptr<RowTable> pack_rows(const Weight& table) const = 0;
  // Makes room for `capacity` tokens of one sequence.
  virtual std::unique_ptr<KvStore> make_kv(const AttentionShape& shape, int64_t capacity) const = 0;

  // y = x, of equal shape.
  virtual void copy(const Activation& x, const Activation& y) const = 0;
  // y (n, cols) = the rows of the table with these n indices, each in 0..table.rows() - 1.
  virtual void gather(const RowTable& table, std::span<const int64_t> rows, const Activation& y) const = 0;
  // y = norm(x) for every `width` neighbouring values of a row, which divides the columns; y may be x.
  virtual void norm(const PackedNorm& norm, const Activation& x, const Activation& y,
                    int64_t width) const = 0;
  // Rotates the first values of every head of every row of x (rows, heads·head_dim), in place: pairs (x[i],
  // x[i + half]) by the angle i of the row, i < half, half being the columns of the table.
  virtual void rotate(const RotaryTable& table, const Activation& x, int64_t head_dim) const = 0;
  // Keys k (rows, keys_width) and values v (rows, values_width) of every segment's rows go into its store, at
  // its positions.
  virtual void append(const AttentionShape& shape, std::span<const Segment> segments, const Activation& k,
                      const Activation& v) const = 0;
  // Causal attention of rotated queries q (rows, queries_width) over the keys and values up to each row's
  // own, which are in the stores; y (rows, context_width). Scores are scaled by 1/sqrt(head_dim).
  virtual void attend(const AttentionShape& shape, std::span<const Segment> segments, const Activation& q,
                      const Activation& y) const = 0;
  // Makes the first `hidden` columns of x the hidden stream of an MLP, in place. kSilu: x (rows, 2·hidden)
  // holds the gates, then the ups. All others: x (rows, hidden) holds the ups.
  virtual void activate(ActivationFunction function, const Activation& x, int64_t hidden) const = 0;
  // y += x
  virtual void add(const Activation& x, const Activation& y) const = 0;
  // Returns whether x holds no NaN and no infinity.
  virtual bool all_finite(const Activation& x) const = 0;

  // Adjoints: the gradient of a loss at what an operation read, from dy, that at what it wrote.

  // dx = the gradient at x of norm(x), for every `width` neighbouring values; x and dx (rows, cols) as in
  // norm(). dx may be dy.
  virtual void norm_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy,
                            const Activation& dx, int64_t width) const = 0;
  // Rotates by the opposite angles what rotate() rotated, in place: its inverse and its adjoint.
  virtual void rotate_back(const RotaryTable& table, const Activation& x, int64_t head_dim) const = 0;
  // The first `hidden` columns of d hold the gradient at what activate() makes of x; d, of the shape of x,
  // becomes that at x.
  virtual void activate_adjoint(ActivationFunction function, const Activation& x, int64_t hidden,
                                const Activation& d) const = 0;
  // Gradients at rotated queries q, rotated keys k and values v of whole sequences, which begin at position 0
  // of their segments and need no stores. dq, dk and dv have the shapes of q, k and v.
  virtual void attend_adjoint(const AttentionShape& shape, std::span<const Segment> segments,
                              const Activation& q, const Activation& k, const Activation& v,
                              const Activation& dy, const Activation& dq, const Activation& dk,
                              const Activation& dv) const = 0;
  // dw (out, in) += dyᵀ·x: the gradient at the weight of a linear that read x (tokens, in), from dy
  // (tokens, out). Products in `compute`, kF32 or kBF16, sums in f32.
  virtual void weight_adjoint(const Activation& x, const Activation& dy, ComputeType compute,
                              MatrixView<float> dw) const = 0;
  // db (cols) += the sum of the rows of dy: the gradient at a bias.
  virtual void bias_adjoint(const Activation& dy, std::span<float> db) const = 0;
  // Gradients at a norm's weight, added to dw (width), and at its bias, added to db (width), for what
  // norm_adjoint() is given. Empty ones are not wanted.
  virtual void norm_weight_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy,
                                   int64_t width, std::span<float> dw, std::span<float> db) const = 0;
  // dtable (table rows, cols): row rows[i] += row i of dy, for what gather() was given.
  virtual void gather_adjoint(std::span<const int64_t> rows, const Activation& dy,
                              MatrixView<float> dtable) const = 0;

  // H += XᵀX over tokens, for calibration: X (tokens, n), H (n, n) on the host. The part of H that is
  // right of the diagonal is left undefined. `row_weights` (tokens), if given, multiplies each token's
  // contribution. Products and sums of some hundred tokens are f32 (or as exact), these are added up in f64.
  virtual void gram_accumulate(const Activation& x, const double* row_weights,
                               MatrixView<double> h) const = 0;
  // C += XᵀY, summed as gram_accumulate() does, for X (tokens, n), Y (tokens, m), C (n, m).
  virtual void cross_accumulate(const Activation& x, const Activation& y, const double* row_weights,
                                MatrixView<double> c) const = 0;
  // ⟨XᵀX, H⟩ = Σ x·H·xᵀ over rows x of X (rows, n), H (n, n) symmetric; products as in gram_accumulate().
  virtual double gram_inner_product(const Activation& x, MatrixView<const double> h) const = 0;
  // Returns the type that calibration computes products with: bf16 where that takes less time than f32. Its
  // rounding is far below what a stream of thousands of tokens leaves undetermined.
  virtual ComputeType calibration_compute() const = 0;
  // Returns the share of the largest eigenvalue of H below which eigenvalues are rounding of
  // gram_accumulate().
  virtual double gram_rounding() const = 0;
};

// Every backend of this machine, best first; "reference" is the last.
std::span<const Backend* const> backends();
// Returns the backend with this name. Throws kUsage naming those that there are.
const Backend& backend_named(std::string_view name);
// Returns the backend of models unless another is named: the processor.
const Backend& default_backend();

// Downloads an activation by its own backend.
HostRows download(Activation x);

// Packs a linear of default_backend(), without a bias.
std::unique_ptr<PackedLinear> pack_linear(std::span<const Weight> stack, ComputeType compute);
std::unique_ptr<PackedLinear> pack_linear(const Weight& weight, ComputeType compute);

}  // namespace pare
