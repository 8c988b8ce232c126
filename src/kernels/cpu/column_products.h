// Sums over tokens of products of channels, XᵀY, with AMX tiles, in f32. A factor is one bf16 part, the
// nearest bf16 value, or the sum of two, that and what is left of it. Of two parts the products high·high,
// high·low and low·high are summed: 2⁻¹⁷ of a product's magnitude is lost. For a machine without AMX these
// are never called.
#pragma once

#include <stdint.h>

namespace pare {

inline constexpr int64_t kStripChannels = 32;

// Most tokens of a strip: one strip stays in L1 while those it is multiplied by come from L2.
inline constexpr int64_t kStripTokens = 256;

// Bytes of up to 32 channels of up to 256 tokens in `parts` parts, whole tiles.
constexpr int64_t strip_bytes(int parts) { return kStripChannels * kStripTokens * 2 * parts; }

// Packs x (tokens, channels) in f32, at most kStripTokens × kStripChannels, to a strip of one or two parts,
// filled up with zeros. The left factor of a product has rows times `weights` (tokens) unless null. Strips
// are 64-byte aligned.
void pack_left_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels,
                         const double* weights, int parts, unsigned char* strip);
void pack_right_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels, int parts,
                          unsigned char* strip);

// Calls of a thread between begin_ and end_strip_products_amx(): sums (32, 32), rows `stride` floats apart,
// (+)= left · rightᵀ over the tokens of two strips packed with as many, in as many parts.
void begin_strip_products_amx();
void strip_product_amx(const unsigned char* left, const unsigned char* right, int64_t tokens, int parts,
                       bool add, float* sums, int64_t stride);
void end_strip_products_amx();

// c (rows, columns) += the first rows and columns of sums.
void add_strip_sums_amx(const float* sums, int64_t rows, int64_t columns, double* c, int64_t stride);
// Returns Σ of the products of the first rows and columns of sums with those of h.
double strip_inner_product_amx(const float* sums, int64_t rows, int64_t columns, const double* h,
                               int64_t stride);

}  // namespace pare
