#include "tensor/format.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "base/error.h"

namespace pare {
namespace {

// The text up to the next '-', which is taken off `rest`.
std::string_view next_part(std::string_view& rest) {
  const size_t end = std::min(rest.find('-'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::optional<int32_t> parse_group(std::string_view part) {
  int32_t group = 0;
  const char* end = part.data() + part.size();
  if (!part.starts_with('g')) return std::nullopt;
  const auto [stop, error] = std::from_chars(part.data() + 1, end, group);
  const bool known =
      std::find(std::begin(kScaleGroups), std::end(kScaleGroups), group) != std::end(kScaleGroups);
  return error == std::errc() && stop == end && known ? std::optional(group) : std::nullopt;
}

// Returns whether a matrix can have the format, whatever its size.
bool is_possible(const WeightFormat& format) {
  const EncodingInfo& info = encoding_info(format.encoding);
  const bool grid = format.group != 0 || format.zero_points;
  return info.kind != EncodingKind::kTable && (format.pattern.dense() || info.kind != EncodingKind::kBlock) &&
         (!grid || info.kind == EncodingKind::kCode) && (!format.zero_points || info.levels > 0) &&
         (format.scale_type == Encoding::kF32 || (is_float(format.scale_type) && info.levels > 0));
}

}  // namespace

std::string format_name(const WeightFormat& format) {
  std::string name = format.pattern.dense() ? "" : pattern_name(format.pattern) + "-";
  name += encoding_info(format.encoding).name;
  if (format.group != 0) name += fmt::format("-g{}", format.group);
  if (format.zero_points) name += "-z";
  if (format.scale_type != Encoding::kF32) name += fmt::format("-{}", encoding_info(format.scale_type).name);
  return name;
}

WeightFormat parse_format(std::string_view text) {
  std::string_view rest = text;
  WeightFormat format;
  std::string_view part = next_part(rest);
  if (part.find(':') != std::string_view::npos) {
    format.pattern = parse_pattern(part);
    part = next_part(rest);
  }
  const std::optional<Encoding> encoding = find_encoding(part);
  format.encoding = encoding.value_or(Encoding::kF32);
  part = next_part(rest);
  if (const std::optional<int32_t> group = parse_group(part)) {
    format.group = *group;
    part = next_part(rest);
  }
  if (part == "z") {
    format.zero_points = true;
    part = next_part(rest);
  }
  if (const std::optional<Encoding> type = find_encoding(part)) format.scale_type = *type;
  // The name is made again, so that each format has one text.
  if (!encoding || !is_possible(format) || format_name(format) != text)
    fail(ErrorCode::kUsage,
         "'{}' is no format of a matrix: bf16, int8, int4-g32, 2:4-int4-g128-z and the like", text);
  return format;
}

int64_t scales_of_row(const WeightFormat& format, int64_t cols) {
  if (!is_code(format.encoding)) return 0;
  return format.group == 0 ? 1 : cols / format.group;
}

std::string misfit(const WeightFormat& format, int64_t cols) {
  const Pattern pattern = format.pattern;
  if (!pattern.dense() && cols % pattern.group != 0)
    return fmt::format("cannot be {}: its rows of {} values do not divide into groups of {}",
                       pattern_name(pattern), cols, pattern.group);
  const std::string name = format_name(format);
  if (format.group != 0 && cols % format.group != 0)
    return fmt::format("cannot be {}: its rows of {} values do not divide into groups of {}", name, cols,
                       format.group);
  if (format.group != 0 && !pattern.dense() && format.group % pattern.group != 0)
    return fmt::format("cannot be {}: groups of {} columns do not divide into groups of {}", name,
                       format.group, pattern.group);
  const int64_t stored = pattern.dense() ? cols : cols / pattern.group * pattern.kept;
  const EncodingInfo& info = encoding_info(format.encoding);
  if (stored % info.block_values != 0)
    return fmt::format("cannot be {}: the {} stored values of a row do not divide into blocks of {}", name,
                       stored, info.block_values);
  return {};
}

}  // namespace pare
