// Rounding a row to an encoding whose codes come in blocks: the scales of its blocks, then its codes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/block_codes.h"

namespace pare {

// Returns whether rows can be rounded to the encoding: it has a layout whose levels are in order.
bool can_round_to(Encoding encoding);

// The values that a row of an encoding can have, while they are chosen. Scales of a block are chosen for
// values w with importances h, so that Σ h·(w − rounded)² is small; codes afterwards, one by one.
class RowGrid {
 public:
  // `encoding`: one that can_round_to() allows; `cols`: whole superblocks of it.
  RowGrid(Encoding encoding, int64_t cols);

  // Columns of a block, whose scale is chosen at once, and of a superblock, whose blocks share a factor.
  int64_t block() const { return layout_.block; }
  int64_t superblock() const { return superblock_; }
  // Begins a row: chooses what its blocks share, from the whole row w (cols) and importances h (cols), finite
  // and not negative.
  void begin(const double* w, const double* h);
  // Chooses scale and minimum of the block that begins at column `first`, for values w (cols) and importances
  // h (cols) of the whole row; at the first block of a superblock, before that, what its blocks share. Blocks
  // come in order, and values may change in between.
  void choose(const double* w, const double* h, int64_t first);
  // Does all of it for a row whose values do not change meanwhile.
  void round_row(const double* w, const double* h);
  // Rounds a value of column c: sets its code and returns what the code means.
  double round(int64_t c, double value);
  // Returns what the code of column c means.
  double value(int64_t c) const;
  // Returns the level of the code of column c, which its scale is multiplied with.
  double level(int64_t c) const { return layout_.levels[row_.codes[static_cast<size_t>(c)]]; }

  const CodeLayout& layout() const { return layout_; }
  // Scale and minimum of block b, as they are stored.
  double scale(int64_t b) const { return scales_[static_cast<size_t>(b)]; }
  double minimum(int64_t b) const { return minima_[static_cast<size_t>(b)]; }
  // Move the scale or the minimum of block b to the value nearest to `wanted` that the encoding can store
  // beside all others; codes stay. Return the new one.
  double move_scale(int64_t b, double wanted);
  double move_minimum(int64_t b, double wanted);

  const RowCodes& codes() const { return row_; }

 private:
  struct Fit {
    double scale = 0.0;
    double minimum = 0.0;
  };
  struct Block;
  struct Nearest;
  struct Sums;

  int64_t superblock_of(int64_t block) const { return layout_.superblock == 0 ? 0 : block / per_superblock_; }
  bool own_factors() const { return layout_.least_scale == layout_.largest_scale; }
  void nearest_levels(const float* units, float* levels) const;
  Block block_of(const double* w, const double* h) const;
  Sums sums_of(const Block& block, float factor, float shift) const;
  Fit fit_scale(const Block& block) const;
  Fit fit_range(const Block& block) const;
  Fit fit(const Block& block) const;
  double error(const Block& block, double scale, double minimum) const;
  // What whole numbers mean as scale and minimum of a block.
  double scale_of(int64_t block, int scale) const;
  double minimum_of(int64_t block, int minimum) const;
  void store(int64_t block, const Fit& fit);
  void store_nearby(int64_t index, const Block& block, const Fit& fit);
  void choose_factors(const double* w, const double* h, int64_t first);
  void set_factors(int64_t superblock, const Fit* fits, int64_t count);
  void update(int64_t block);

  const CodeLayout& layout_;
  bool has_minima_;
  bool affine_;   // levels are neighbouring whole numbers
  int32_t last_;  // the largest code
  int64_t per_superblock_;
  int64_t superblock_;                      // columns, those of a block where a factor is for the whole row
  std::shared_ptr<const Nearest> nearest_;  // where levels are no neighbouring whole numbers
  RowCodes row_;
  std::vector<double> scales_;    // (blocks): as stored
  std::vector<double> inverses_;  // (blocks): inverses of the scales
  std::vector<double> minima_;    // (blocks)
  std::vector<Fit> fits_;         // fits of choose_factors(), one for each block that shares them
};

// Rounds a row, all values of equal importance, and writes it as the encoding has it.
void encode_to_grid(Encoding encoding, const float* source, int64_t cols, std::byte* destination);

}  // namespace pare
