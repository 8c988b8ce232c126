#include "io/gguf_types.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace pare::gguf {
namespace {

struct TensorType {
  uint32_t number;
  std::string_view name;
  std::optional<Encoding> encoding;
};

// The numbers that ggml defines; gaps are types that it removed.
constexpr TensorType kTensorTypes[] = {
    {0, "F32", Encoding::kF32},        {1, "F16", Encoding::kF16},      {2, "Q4_0", Encoding::kQ4_0},
    {3, "Q4_1", Encoding::kQ4_1},      {6, "Q5_0", Encoding::kQ5_0},    {7, "Q5_1", Encoding::kQ5_1},
    {8, "Q8_0", Encoding::kQ8_0},      {9, "Q8_1", std::nullopt},       {10, "Q2_K", Encoding::kQ2_K},
    {11, "Q3_K", Encoding::kQ3_K},     {12, "Q4_K", Encoding::kQ4_K},   {13, "Q5_K", Encoding::kQ5_K},
    {14, "Q6_K", Encoding::kQ6_K},     {15, "Q8_K", std::nullopt},      {16, "IQ2_XXS", std::nullopt},
    {17, "IQ2_XS", std::nullopt},      {18, "IQ3_XXS", std::nullopt},   {19, "IQ1_S", std::nullopt},
    {20, "IQ4_NL", Encoding::kIQ4_NL}, {21, "IQ3_S", std::nullopt},     {22, "IQ2_S", std::nullopt},
    {23, "IQ4_XS", Encoding::kIQ4_XS}, {24, "I8", std::nullopt},        {25, "I16", std::nullopt},
    {26, "I32", std::nullopt},         {27, "I64", std::nullopt},       {28, "F64", std::nullopt},
    {29, "IQ1_M", std::nullopt},       {30, "BF16", Encoding::kBF16},   {34, "TQ1_0", Encoding::kTQ1_0},
    {35, "TQ2_0", Encoding::kTQ2_0},   {39, "MXFP4", Encoding::kMXFP4}, {40, "NVFP4", std::nullopt},
    {41, "Q1_0", std::nullopt},
};

const TensorType* find_type(uint32_t number) {
  const auto it = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                               [&](const TensorType& type) { return type.number == number; });
  return it == std::end(kTensorTypes) ? nullptr : it;
}

}  // namespace

uint64_t alignment(const GgufMetadata& metadata) {
  const uint64_t value = metadata.find_u32(kAlignmentKey).value_or(32);
  if (value == 0 || (value & (value - 1)) != 0 || value > kMaxAlignment)
    fail(ErrorCode::kFormat, "GGUF metadata \"{}\": {} is not a power of two up to {}", kAlignmentKey, value,
         kMaxAlignment);
  return value;
}

std::optional<Encoding> encoding_of(uint32_t tensor_type) {
  const TensorType* type = find_type(tensor_type);
  return type == nullptr ? std::nullopt : type->encoding;
}

std::optional<uint32_t> find_tensor_type(Encoding encoding) {
  const auto* it = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                [&](const TensorType& type) { return type.encoding == encoding; });
  return it == std::end(kTensorTypes) ? std::nullopt : std::optional(it->number);
}

uint32_t tensor_type_of(Encoding encoding) {
  const std::optional<uint32_t> type = find_tensor_type(encoding);
  PARE_CHECK(type.has_value());
  return *type;
}

std::string_view tensor_type_name(uint32_t tensor_type) {
  const TensorType* type = find_type(tensor_type);
  return type == nullptr ? std::string_view("unknown") : type->name;
}

std::string readable_types() {
  std::string names;
  for (const TensorType& type : kTensorTypes)
    if (type.encoding) names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  return names;
}

}  // namespace pare::gguf

namespace pare {

bool has_gguf_type(Encoding encoding) { return gguf::find_tensor_type(encoding).has_value(); }

}  // namespace pare
