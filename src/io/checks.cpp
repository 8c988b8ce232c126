#include "io/checks.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

constexpr size_t kMaxTensorName = 1024;

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none (Unicode 15, table
// 3-7).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void check_name(std::string_view kind, std::string_view name, size_t max_bytes, std::string_view what) {
  if (name.empty()) fail(ErrorCode::kFormat, "{}: an empty {}", what, kind);
  if (name.size() > max_bytes)
    fail(ErrorCode::kFormat, "{}: a {} of {} bytes, at most {} are accepted", what, kind, name.size(),
         max_bytes);
  if (!is_utf8(name)) fail(ErrorCode::kFormat, "{}: {} \"{}\" is not UTF-8", what, kind, printable(name));
  if (std::any_of(name.begin(), name.end(), is_control))
    fail(ErrorCode::kFormat, "{}: {} \"{}\" contains a control character", what, kind, printable(name));
}

void check_tensor_name(std::string_view name, std::string_view what) {
  check_name("tensor name", name, kMaxTensorName, what);
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxShown = 100;
  std::string result(text.substr(0, kMaxShown));
  for (char& c : result)
    if (c < 0x20 || c > 0x7e) c = '?';
  if (text.size() > kMaxShown) result += "...";
  return result;
}

}  // namespace pare
