// What one core can do at most: multiply-adds and tile products.
#pragma once

#include <stdint.h>

namespace pare::bench {

// `rounds` times kMultiplyAddFlops of independent f32 multiply-adds, of 8 or 16 lanes; returns something of
// the result.
float multiply_add_avx2(int64_t rounds);
float multiply_add_avx512(int64_t rounds);
inline constexpr double kMultiplyAddFlops = 24.0 * 16 * 2;  // a round
// `rounds` × 4 bf16 tile products of 16 × 16 × 32 from registers.
float tile_products(int64_t rounds);
inline constexpr double kTileFlops = 4.0 * 16 * 16 * 32 * 2;  // a round

}  // namespace pare::bench
