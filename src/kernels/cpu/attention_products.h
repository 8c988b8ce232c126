// The two products of attention, with keys and values in f32 or bf16.
#pragma once

#include <cstdint>

#include "base/bf16.h"

namespace pare {

enum class Isa;
struct VectorOps;

// Fewer rows of queries than these gain nothing from tiles.
inline constexpr int64_t kTileQueries = 16;

// Products of an instruction set, with f32 sums (relative error a few ulp a term). Leading dimensions are in
// elements. B is taken as it is. Where it is bf16 and there are tiles or AVX-512, A is rounded to bf16 from
// kTileQueries rows on.
class AttentionProducts {
 public:
  explicit AttentionProducts(Isa isa);

  // C(m, n) = alpha · A(m, k)·B(n, k)ᵀ: scores.
  void nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
          int64_t ldb, float* c, int64_t ldc) const noexcept;
  void nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const bf16* b,
          int64_t ldb, float* c, int64_t ldc) const noexcept;
  // C(m, n) += A(m, k)·B(k, n): values.
  void nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
          int64_t ldc) const noexcept;
  void nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const bf16* b, int64_t ldb, float* c,
          int64_t ldc) const noexcept;

  // Returns how many of m rows of A are best taken in one product.
  int64_t best_rows(int64_t m, bool narrow) const { return narrow && on_tiles(m) ? 128 : 64; }

 private:
  bool on_tiles(int64_t m) const { return tiles_ && m >= kTileQueries; }
  bool in_pairs(int64_t m) const { return pairs_ && m >= kTileQueries; }

  const VectorOps& ops_;
  bool tiles_;
  bool pairs_;
};

}  // namespace pare
