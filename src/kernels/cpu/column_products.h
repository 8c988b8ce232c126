// Sums over tokens of products of channels, XᵀY, with AMX tiles. A factor is the sum of two bf16 parts, the
// nearest bf16 value and what is left of it, and the products high·high, high·low and low·high are summed in
// f32: 2⁻¹⁷ of a product's magnitude is lost. For a machine without AMX these are never called.
#pragma once

#include <stdint.h>

namespace pare {

inline constexpr int64_t kStripChannels = 32;

// Most tokens of a strip: one strip stays in L1 while those it is multiplied by come from L2.
inline constexpr int64_t kStripTokens = 256;

// Both parts of up to 32 channels of up to 256 tokens, whole tiles.
inline constexpr int64_t kStripBytes = kStripChannels * kStripTokens * 2 * 2;

// Packs x (tokens, channels) in f32, at most kStripTokens × kStripChannels, to a strip, filled up with zeros.
// The left factor of a product has rows times `weights` (tokens) unless null. Strips are 64-byte aligned.
void pack_left_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels,
                         const double* weights, unsigned char* strip);
void pack_right_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels,
                          unsigned char* strip);

// Calls of a thread between begin_ and end_strip_products_amx(): sums (32, 32), 64-byte aligned and
// contiguous, (+)= left · rightᵀ over the tokens of two strips packed with as many.
void begin_strip_products_amx();
void strip_product_amx(const unsigned char* left, const unsigned char* right, int64_t tokens, bool add,
                       float* sums);
void end_strip_products_amx();

// c (rows, columns) += the first rows and columns of sums.
void add_strip_sums_amx(const float* sums, int64_t rows, int64_t columns, double* c, int64_t stride);
// Returns Σ of the products of the first rows and columns of sums with those of h.
double strip_inner_product_amx(const float* sums, int64_t rows, int64_t columns, const double* h,
                               int64_t stride);

}  // namespace pare
