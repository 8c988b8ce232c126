#include "tensor/encoding.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "base/bf16.h"
#include "base/error.h"
#include "tensor/encoding_blocks.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

void decode_f32(const std::byte* source, int64_t cols, float* out) noexcept {
  std::memcpy(out, source, static_cast<size_t>(cols) * sizeof(float));
}

void encode_f32(const float* source, int64_t cols, std::byte* destination) noexcept {
  std::memcpy(destination, source, static_cast<size_t>(cols) * sizeof(float));
}

template <typename Half>
void decode_half(const std::byte* source, int64_t cols, float* out) noexcept {
  for (int64_t i = 0; i < cols; ++i) {
    Half value;
    std::memcpy(&value, source + i * 2, 2);
    out[i] = to_f32(value);
  }
}

template <typename Integer>
void decode_whole(const std::byte* source, int64_t cols, float* out) noexcept {
  for (int64_t i = 0; i < cols; ++i) {
    Integer value;
    std::memcpy(&value, source + i * static_cast<int64_t>(sizeof(Integer)), sizeof(Integer));
    out[i] = static_cast<float>(value);
  }
}

// Decodes two values a byte, the lower four bits first.
void decode_int4(const std::byte* source, int64_t cols, float* out) noexcept {
  for (int64_t i = 0; i < cols; i += 2) {
    const auto pair = static_cast<int32_t>(source[i / 2]);
    out[i] = static_cast<float>((pair & 15) - 8);
    out[i + 1] = static_cast<float>((pair >> 4) - 8);
  }
}

template <auto convert>
void encode_half(const float* source, int64_t cols, std::byte* destination) noexcept {
  for (int64_t i = 0; i < cols; ++i) {
    const auto value = convert(source[i]);
    std::memcpy(destination + i * 2, &value, 2);
  }
}

template <Encoding encoding>
void encode_blocks(const float* source, int64_t cols, std::byte* destination) noexcept {
  encode_to_grid(encoding, source, cols, destination);
}

struct Codec {
  Encoding encoding;
  EncodingInfo info;
  void (*decode)(const std::byte* source, int64_t cols, float* out) noexcept;
  void (*encode)(const float* source, int64_t cols, std::byte* destination) noexcept;  // null: not encodable
};

constexpr EncodingKind kFloat = EncodingKind::kFloat;
constexpr EncodingKind kBlock = EncodingKind::kBlock;
constexpr EncodingKind kCode = EncodingKind::kCode;
constexpr EncodingKind kTable = EncodingKind::kTable;

// Codecs in the order of the enumeration.
constexpr Codec kCodecs[] = {
    {Encoding::kF32, {"f32", 1, 4, true, kFloat}, decode_f32, encode_f32},
    {Encoding::kF16, {"f16", 1, 2, true, kFloat}, decode_half<f16>, encode_half<to_f16>},
    {Encoding::kBF16, {"bf16", 1, 2, true, kFloat}, decode_half<bf16>, encode_half<to_bf16>},
    {Encoding::kQ8_0, {"q8_0", 32, 34, true, kBlock}, blocks::decode_q8_0, blocks::encode_q8_0},
    {Encoding::kQ4_0, {"q4_0", 32, 18, true, kBlock}, blocks::decode_q4_0, blocks::encode_q4_0},
    {Encoding::kQ4_1, {"q4_1", 32, 20, true, kBlock}, blocks::decode_q4_1, encode_blocks<Encoding::kQ4_1>},
    {Encoding::kQ5_0, {"q5_0", 32, 22, true, kBlock}, blocks::decode_q5_0, encode_blocks<Encoding::kQ5_0>},
    {Encoding::kQ5_1, {"q5_1", 32, 24, true, kBlock}, blocks::decode_q5_1, encode_blocks<Encoding::kQ5_1>},
    {Encoding::kIQ4_NL,
     {"iq4_nl", 32, 18, true, kBlock},
     blocks::decode_iq4_nl,
     encode_blocks<Encoding::kIQ4_NL>},
    {Encoding::kMXFP4, {"mxfp4", 32, 17, false, kBlock}, blocks::decode_mxfp4, nullptr},
    {Encoding::kQ2_K, {"q2_k", 256, 84, true, kBlock}, blocks::decode_q2_k, encode_blocks<Encoding::kQ2_K>},
    {Encoding::kQ3_K, {"q3_k", 256, 110, true, kBlock}, blocks::decode_q3_k, encode_blocks<Encoding::kQ3_K>},
    {Encoding::kQ4_K, {"q4_k", 256, 144, true, kBlock}, blocks::decode_q4_k, encode_blocks<Encoding::kQ4_K>},
    {Encoding::kQ5_K, {"q5_k", 256, 176, true, kBlock}, blocks::decode_q5_k, encode_blocks<Encoding::kQ5_K>},
    {Encoding::kQ6_K, {"q6_k", 256, 210, true, kBlock}, blocks::decode_q6_k, encode_blocks<Encoding::kQ6_K>},
    {Encoding::kIQ4_XS,
     {"iq4_xs", 256, 136, true, kBlock},
     blocks::decode_iq4_xs,
     encode_blocks<Encoding::kIQ4_XS>},
    {Encoding::kTQ1_0, {"tq1_0", 256, 54, false, kBlock}, blocks::decode_tq1_0, nullptr},
    {Encoding::kTQ2_0, {"tq2_0", 256, 66, false, kBlock}, blocks::decode_tq2_0, nullptr},
    {Encoding::kInt8, {"int8", 1, 1, false, kCode}, decode_whole<int8_t>, nullptr},
    {Encoding::kU8, {"u8", 1, 1, false, kTable}, decode_whole<uint8_t>, nullptr},
    {Encoding::kI64, {"i64", 1, 8, false, kTable}, decode_whole<int64_t>, nullptr},
    {Encoding::kInt4, {"int4", 2, 1, false, kCode, 16}, decode_int4, nullptr},
    {Encoding::kQ4N, {"q4n", 32, 16, true, kBlock, 0, 6}, blocks::decode_q4n, encode_blocks<Encoding::kQ4N>},
    {Encoding::kQ3N, {"q3n", 32, 12, true, kBlock, 0, 6}, blocks::decode_q3n, encode_blocks<Encoding::kQ3N>},
    {Encoding::kI32, {"i32", 1, 4, false, kTable}, decode_whole<int32_t>, nullptr},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kCodecs); ++i)
    if (kCodecs[i].encoding != static_cast<Encoding>(i) ||
        kCodecs[i].info.encodable != (kCodecs[i].encode != nullptr))
      return false;
  return true;
}
static_assert(in_order());

const Codec& codec(Encoding encoding) { return kCodecs[static_cast<size_t>(encoding)]; }

}  // namespace

const EncodingInfo& encoding_info(Encoding encoding) { return codec(encoding).info; }

std::vector<Encoding> all_encodings() {
  std::vector<Encoding> all;
  for (const Codec& codec : kCodecs) all.push_back(codec.encoding);
  return all;
}

std::optional<Encoding> find_encoding(std::string_view name) {
  const auto* it = std::find_if(std::begin(kCodecs), std::end(kCodecs),
                                [&](const Codec& codec) { return codec.info.name == name; });
  return it == std::end(kCodecs) ? std::nullopt : std::optional(it->encoding);
}

int64_t row_bytes(Encoding encoding, int64_t cols) {
  const EncodingInfo& info = encoding_info(encoding);
  if (cols % info.block_values != 0)
    fail(ErrorCode::kFormat, "a row of {} values does not divide into {} blocks of {}", cols, info.name,
         info.block_values);
  const int64_t blocks = cols / info.block_values;
  const int64_t ahead = info.row_scale_bits == 0 ? 0 : 2 + (blocks * info.row_scale_bits + 7) / 8;
  return ahead + blocks * info.block_bytes;
}

void decode_values(Encoding encoding, const void* source, int64_t cols, float* out) noexcept {
  codec(encoding).decode(static_cast<const std::byte*>(source), cols, out);
}

void encode_values(Encoding encoding, const float* source, int64_t cols, void* destination) {
  PARE_CHECK(encoding_info(encoding).encodable);
  codec(encoding).encode(source, cols, static_cast<std::byte*>(destination));
}

}  // namespace pare
