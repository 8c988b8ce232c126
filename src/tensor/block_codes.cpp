#include "tensor/block_codes.h"

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "base/bf16.h"
#include "base/error.h"
#include "tensor/encoding_blocks.h"

namespace pare {
namespace {

// A whole number, or a part of one, in a byte: bits `shift` to `shift + width` are its bits from `above` on.
struct Bits {
  int64_t byte;
  int shift;
  int width;
  int above = 0;
};

constexpr int mask_of(const Bits& bits) { return (1 << bits.width) - 1; }

// Reads fields of a block. Taking and Putting have the same functions, so that one description of a block
// serves both directions.
struct Taking {
  using Row = RowCodes;
  const uint8_t* bytes;

  // A whole number that lies in the block as value + bias.
  template <typename T>
  void number(T& value, int bias, std::initializer_list<Bits> parts) const {
    int stored = 0;
    for (const Bits& part : parts) stored |= (bytes[part.byte] >> part.shift & mask_of(part)) << part.above;
    value = static_cast<T>(stored - bias);
  }
  // A signed byte.
  void signed_byte(int16_t& value, int64_t byte) const {
    value = static_cast<int16_t>((bytes[byte] ^ 0x80) - 0x80);
  }
  void half(float& value, int64_t byte) const {
    f16 stored;
    std::memcpy(&stored, bytes + byte, sizeof(stored));
    value = to_f32(stored);
  }
  // A float that lies in the block with the other sign.
  void negated_half(float& value, int64_t byte) const {
    half(value, byte);
    value = -value;
  }
  // Half a power of two, whose exponent lies in a byte.
  void half_power(float& value, int64_t byte) const { value = std::ldexp(1.0f, bytes[byte] - 128); }
  // Moves on by some bytes.
  void advance(int64_t count) { bytes += count; }
};

// Writes fields of a block whose bytes are zero.
struct Putting {
  using Row = const RowCodes;
  uint8_t* bytes;

  template <typename T>
  void number(const T& value, int bias, std::initializer_list<Bits> parts) const {
    const int stored = value + bias;
    for (const Bits& part : parts)
      bytes[part.byte] |= static_cast<uint8_t>((stored >> part.above & mask_of(part)) << part.shift);
  }
  void signed_byte(const int16_t& value, int64_t byte) const {
    bytes[byte] = static_cast<uint8_t>(static_cast<int8_t>(value));
  }
  void half(const float& value, int64_t byte) const {
    const f16 stored = to_f16(value);
    std::memcpy(bytes + byte, &stored, sizeof(stored));
  }
  void negated_half(const float& value, int64_t byte) const { half(-value, byte); }
  void half_power(const float& value, int64_t byte) const {
    bytes[byte] = static_cast<uint8_t>(std::ilogb(value) + 128);
  }
  void advance(int64_t count) { bytes += count; }
};

// One value of codes, scales, minima or factors by its number.
template <typename Values>
auto& at(Values& values, int64_t i) {
  return values[static_cast<size_t>(i)];
}

// Codes of 32 values, from value `first` on: nibble i of `low` bytes holds value i, and value i + 16 above
// it; bit i of `high`, where there is one, is the fifth bit of value i.
template <typename Access, typename Row>
void nibbles(Access a, Row& row, int64_t first, int64_t low, int64_t high = -1) {
  for (int i = 0; i < 32; ++i) {
    auto& code = at(row.codes, first + i);
    const Bits nibble = {low + i % 16, i / 16 * 4, 4};
    if (high < 0)
      a.number(code, 0, {nibble});
    else
      a.number(code, 0, {nibble, {high + i / 8, i % 8, 1, 4}});
  }
}

// Encodings in blocks of 32 values: the scale, `minimum` where there is one, `fifth` bits where codes have
// five bits, nibbles.
template <bool minimum, bool fifth>
struct Block32 {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t b) {
    a.half(at(row.factors, b), 0);
    if constexpr (minimum) a.half(at(row.minimum_factors, b), 2);
    constexpr int64_t kHigh = minimum ? 4 : 2;
    nibbles(a, row, 32 * b, fifth ? kHigh + 4 : kHigh, fifth ? kHigh : -1);
  }
};

struct Q8_0 {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t b) {
    a.half(at(row.factors, b), 0);
    // The bytes are signed, codes are 128 larger: both are the same up to the highest bit.
    for (int i = 0; i < 32; ++i) a.number(at(row.codes, 32 * b + i), -128, {{2 + i, 0, 8}});
  }
};

struct MxFp4 {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t b) {
    a.half_power(at(row.factors, b), 0);
    nibbles(a, row, 32 * b, 1);
  }
};

// Encodings in superblocks of 256 values (encoding_blocks256.cpp says which bits are what).
struct Q2K {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    for (int part = 0; part < 16; ++part) {
      a.number(at(row.scales, 16 * s + part), 0, {{part, 0, 4}});
      a.number(at(row.minima, 16 * s + part), 0, {{part, 4, 4}});
    }
    for (int i = 0; i < 256; ++i)
      a.number(at(row.codes, 256 * s + i), 0, {{16 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2}});
    a.half(at(row.factors, s), 80);
    a.negated_half(at(row.minimum_factors, s), 82);
  }
};

struct Q3K {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    for (int i = 0; i < 256; ++i)
      a.number(at(row.codes, 256 * s + i), 0,
               {{32 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2}, {i % 32, i / 32, 1, 2}});
    for (int part = 0; part < 16; ++part)
      a.number(at(row.scales, 16 * s + part), 32,
               {{96 + part % 8, part / 8 * 4, 4}, {104 + part % 4, part / 4 * 2, 2, 4}});
    a.half(at(row.factors, s), 108);
  }
};

// Factors, and scales and minima of six bits, of Q4_K and Q5_K.
template <typename Access, typename Row>
void visit_k_scales(Access a, Row& row, int64_t s) {
  a.half(at(row.factors, s), 0);
  a.negated_half(at(row.minimum_factors, s), 2);
  for (int p = 0; p < 4; ++p) {
    a.number(at(row.scales, 8 * s + p), 0, {{4 + p, 0, 6}});
    a.number(at(row.minima, 8 * s + p), 0, {{8 + p, 0, 6}});
    a.number(at(row.scales, 8 * s + 4 + p), 0, {{12 + p, 0, 4}, {4 + p, 6, 2, 4}});
    a.number(at(row.minima, 8 * s + 4 + p), 0, {{12 + p, 4, 4}, {8 + p, 6, 2, 4}});
  }
}

struct Q4K {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    visit_k_scales(a, row, s);
    for (int i = 0; i < 256; ++i)
      a.number(at(row.codes, 256 * s + i), 0, {{16 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4}});
  }
};

struct Q5K {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    visit_k_scales(a, row, s);
    for (int i = 0; i < 256; ++i)
      a.number(at(row.codes, 256 * s + i), 0,
               {{48 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4}, {16 + i % 32, i / 32, 1, 4}});
  }
};

struct Q6K {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    for (int i = 0; i < 256; ++i)
      a.number(at(row.codes, 256 * s + i), 0,
               {{i / 128 * 64 + i % 64, i % 128 / 64 * 4, 4},
                {128 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2, 4}});
    for (int part = 0; part < 16; ++part) a.signed_byte(at(row.scales, 16 * s + part), 192 + part);
    a.half(at(row.factors, s), 208);
  }
};

struct Iq4Xs {
  template <typename Access, typename Row>
  static void visit(Access a, Row& row, int64_t s) {
    a.half(at(row.factors, s), 0);
    for (int part = 0; part < 8; ++part) {
      a.number(at(row.scales, 8 * s + part), 32,
               {{4 + part / 2, part % 2 * 4, 4}, {2 + part / 4, part % 4 * 2, 2, 4}});
      nibbles(a, row, 256 * s + 32 * part, 8 + 16 * part);
    }
  }
};

// Visits a row of superblocks that hold all of their parts.
template <typename Superblock, int64_t bytes, typename Access>
void visit_superblocks(Access a, typename Access::Row& row) {
  for (size_t s = 0; s < row.factors.size(); ++s, a.advance(bytes))
    Superblock::visit(a, row, static_cast<int64_t>(s));
}

// q4n and q3n: the factor of the row, the scales of its blocks, six bits each in one stream, the codes of
// each block.
template <int bits, typename Access>
void visit_own(Access a, typename Access::Row& row) {
  const auto blocks = static_cast<int64_t>(row.scales.size());
  a.half(at(row.factors, 0), 0);
  a.advance(2);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t byte = 6 * b / 8;
    const int shift = static_cast<int>(6 * b % 8);
    if (shift <= 2)
      a.number(at(row.scales, b), 32, {{byte, shift, 6}});
    else
      a.number(at(row.scales, b), 32, {{byte, shift, 8 - shift}, {byte + 1, 0, shift - 2, 8 - shift}});
  }
  a.advance((6 * blocks + 7) / 8);
  for (int64_t b = 0; b < blocks; ++b, a.advance(4 * bits)) {
    if constexpr (bits == 4) {
      nibbles(a, row, 32 * b, 0);
    } else {
      // Value 8k + j: bits 2k and 2k + 1 of byte j, and above them bit j of byte 8 + k.
      for (int i = 0; i < 32; ++i)
        a.number(at(row.codes, 32 * b + i), 0, {{i % 8, i / 8 * 2, 2}, {8 + i / 8, i % 8, 1, 2}});
    }
  }
}

template <typename Access>
void visit_row(Encoding encoding, Access a, typename Access::Row& row) {
  switch (encoding) {
    case Encoding::kQ8_0:
      return visit_superblocks<Q8_0, 34>(a, row);
    case Encoding::kQ4_0:
    case Encoding::kIQ4_NL:
      return visit_superblocks<Block32<false, false>, 18>(a, row);
    case Encoding::kQ4_1:
      return visit_superblocks<Block32<true, false>, 20>(a, row);
    case Encoding::kQ5_0:
      return visit_superblocks<Block32<false, true>, 22>(a, row);
    case Encoding::kQ5_1:
      return visit_superblocks<Block32<true, true>, 24>(a, row);
    case Encoding::kMXFP4:
      return visit_superblocks<MxFp4, 17>(a, row);
    case Encoding::kQ2_K:
      return visit_superblocks<Q2K, 84>(a, row);
    case Encoding::kQ3_K:
      return visit_superblocks<Q3K, 110>(a, row);
    case Encoding::kQ4_K:
      return visit_superblocks<Q4K, 144>(a, row);
    case Encoding::kQ5_K:
      return visit_superblocks<Q5K, 176>(a, row);
    case Encoding::kQ6_K:
      return visit_superblocks<Q6K, 210>(a, row);
    case Encoding::kIQ4_XS:
      return visit_superblocks<Iq4Xs, 136>(a, row);
    case Encoding::kQ4N:
      return visit_own<4>(a, row);
    case Encoding::kQ3N:
      return visit_own<3>(a, row);
    default:
      fail(ErrorCode::kInternal, "{} has no codes in blocks", encoding_info(encoding).name);
  }
}

// Whole numbers from `first` on.
template <size_t n>
struct Levels {
  int8_t values[n];
  constexpr explicit Levels(int first) : values() {
    for (size_t i = 0; i < n; ++i) values[i] = static_cast<int8_t>(first + static_cast<int>(i));
  }
};

constexpr Levels<4> kFrom0Of4(0);
constexpr Levels<8> kAround4(-4);
constexpr Levels<16> kFrom0Of16(0);
constexpr Levels<16> kAround8(-8);
constexpr Levels<32> kFrom0Of32(0);
constexpr Levels<32> kAround16(-16);
constexpr Levels<64> kAround32(-32);
constexpr Levels<256> kAround128(-128);

constexpr CodeLayout kQ8Layout = {8, 32, 32, kAround128.values};
constexpr CodeLayout kQ40Layout = {4, 32, 32, kAround8.values};
constexpr CodeLayout kQ41Layout = {4, 32, 32, kFrom0Of16.values, 1, 1, 1};
constexpr CodeLayout kQ50Layout = {5, 32, 32, kAround16.values};
constexpr CodeLayout kQ51Layout = {5, 32, 32, kFrom0Of32.values, 1, 1, 1};
constexpr CodeLayout kIq4NlLayout = {4, 32, 32, blocks::kIq4Levels};
constexpr CodeLayout kMxFp4Layout = {4, 32, 32, blocks::kTwiceMxfp4Levels};
constexpr CodeLayout kQ2KLayout = {2, 16, 256, kFrom0Of4.values, 0, 15, 15};
constexpr CodeLayout kQ3KLayout = {3, 16, 256, kAround4.values, -32, 31};
constexpr CodeLayout kQ4KLayout = {4, 32, 256, kFrom0Of16.values, 0, 63, 63};
constexpr CodeLayout kQ5KLayout = {5, 32, 256, kFrom0Of32.values, 0, 63, 63};
constexpr CodeLayout kQ6KLayout = {6, 16, 256, kAround32.values, -128, 127};
constexpr CodeLayout kIq4XsLayout = {4, 32, 256, blocks::kIq4Levels, -32, 31};
constexpr CodeLayout kQ4NLayout = {4, 32, 0, blocks::kIq4Levels, -32, 31};
constexpr CodeLayout kQ3NLayout = {3, 32, 0, blocks::kQ3nLevels, -32, 31};

}  // namespace

const CodeLayout* code_layout(Encoding encoding) {
  switch (encoding) {
    case Encoding::kQ8_0:
      return &kQ8Layout;
    case Encoding::kQ4_0:
      return &kQ40Layout;
    case Encoding::kQ4_1:
      return &kQ41Layout;
    case Encoding::kQ5_0:
      return &kQ50Layout;
    case Encoding::kQ5_1:
      return &kQ51Layout;
    case Encoding::kIQ4_NL:
      return &kIq4NlLayout;
    case Encoding::kMXFP4:
      return &kMxFp4Layout;
    case Encoding::kQ2_K:
      return &kQ2KLayout;
    case Encoding::kQ3_K:
      return &kQ3KLayout;
    case Encoding::kQ4_K:
      return &kQ4KLayout;
    case Encoding::kQ5_K:
      return &kQ5KLayout;
    case Encoding::kQ6_K:
      return &kQ6KLayout;
    case Encoding::kIQ4_XS:
      return &kIq4XsLayout;
    case Encoding::kQ4N:
      return &kQ4NLayout;
    case Encoding::kQ3N:
      return &kQ3NLayout;
    default:
      return nullptr;
  }
}

void RowCodes::resize(const CodeLayout& layout, int64_t cols) {
  const auto blocks = static_cast<size_t>(cols / layout.block);
  const size_t superblocks = layout.superblock == 0 ? 1 : static_cast<size_t>(cols / layout.superblock);
  const bool has_minima = layout.largest_minimum > 0;
  codes.assign(static_cast<size_t>(cols), 0);
  scales.assign(blocks, 1);
  minima.assign(has_minima ? blocks : 0, 1);
  factors.assign(superblocks, 0.0f);
  minimum_factors.assign(has_minima ? superblocks : 0, 0.0f);
}

void take_row_codes(Encoding encoding, const std::byte* source, int64_t cols, RowCodes& row) {
  const CodeLayout* layout = code_layout(encoding);
  PARE_CHECK(layout != nullptr);
  row.resize(*layout, cols);
  visit_row(encoding, Taking{reinterpret_cast<const uint8_t*>(source)}, row);
}

void put_row_codes(Encoding encoding, const RowCodes& row, std::byte* destination) {
  const auto cols = static_cast<int64_t>(row.codes.size());
  std::memset(destination, 0, static_cast<size_t>(row_bytes(encoding, cols)));
  visit_row(encoding, Putting{reinterpret_cast<uint8_t*>(destination)}, row);
}

}  // namespace pare
