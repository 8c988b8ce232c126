// The block encodings of GGUF: what encoding.cpp's table refers to. `cols` values are whole blocks; bytes
// need no alignment. Every value is one multiplication and at most one addition in f32, in the order that
// ggml's documentation of the formats gives: two programs that follow it agree to the bit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pare::blocks {

// Blocks of 32 values with one scale (encoding_blocks32.cpp).
void decode_q8_0(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q4_0(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q4_1(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q5_0(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q5_1(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_iq4_nl(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_mxfp4(const std::byte* source, int64_t cols, float* out) noexcept;
void encode_q8_0(const float* source, int64_t cols, std::byte* destination) noexcept;
void encode_q4_0(const float* source, int64_t cols, std::byte* destination) noexcept;

// Blocks of 256 values whose parts have scales of their own (encoding_blocks256.cpp).
void decode_q2_k(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q3_k(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q4_k(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q5_k(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q6_k(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_iq4_xs(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_tq1_0(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_tq2_0(const std::byte* source, int64_t cols, float* out) noexcept;

// Rows of pare's own encodings (encoding_rows.cpp): a factor of the row, a scale of six bits for each block
// of 32 values, the codes of the blocks. A value is the factor times the scale times a level.
void decode_q4n(const std::byte* source, int64_t cols, float* out) noexcept;
void decode_q3n(const std::byte* source, int64_t cols, float* out) noexcept;

// The 16 levels of IQ4_NL, IQ4_XS and q4n, denser around zero.
inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
// The 8 levels of q3n.
inline constexpr int8_t kQ3nLevels[8] = {-63, -40, -23, -10, 1, 13, 28, 47};
// Twice the 16 levels of MXFP4.
inline constexpr int8_t kTwiceMxfp4Levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace pare::blocks
