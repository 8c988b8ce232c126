// What one core can do at most: reading memory, multiply-adds, tile products.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace pare::bench {

// Reads `bytes` (a multiple of 4 KB) by eight streams with AVX-512; returns their XOR.
uint32_t read_memory(const void* data, size_t bytes);
// `rounds` × 24 independent f32 multiply-adds of 16 lanes; returns something of the result.
float multiply_add(int64_t rounds);
inline constexpr double kMultiplyAddFlops = 24.0 * 16 * 2;  // a round
// `rounds` × 4 bf16 tile products of 16 × 16 × 32 from registers.
float tile_products(int64_t rounds);
inline constexpr double kTileFlops = 4.0 * 16 * 16 * 32 * 2;  // a round

}  // namespace pare::bench
