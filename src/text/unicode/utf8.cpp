#include "text/unicode/utf8.h"

#include <algorithm>

namespace pare {
namespace {

unsigned byte_at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

}  // namespace

// Well-formed byte sequences: Unicode standard, table 3-7.
Utf8Char decode_utf8(std::string_view text) {
  const unsigned lead = byte_at(text, 0);
  if (lead < 0x80) return {lead, 1, true, false};
  if (lead < 0xc2 || lead > 0xf4) return {0, 1, false, false};
  const int length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  char32_t code = lead & (0x7fu >> length);
  for (int i = 1; i < length; ++i) {
    const auto seen = static_cast<uint8_t>(i);
    if (text.size() == seen) return {0, seen, false, true};
    const unsigned byte = byte_at(text, seen);
    if (byte < low || byte > high) return {0, seen, false, false};
    code = code << 6 | (byte & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return {code, static_cast<uint8_t>(length), true, false};
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

void append_replacing_invalid(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    out.append(c.valid ? text.substr(0, c.length) : std::string_view("\xef\xbf\xbd"));
    text.remove_prefix(c.length);
  }
}

size_t truncated_tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    if (byte_at(tail, 0) < 0x80) return 0;
    if (byte_at(tail, 0) < 0xc0) continue;
    const Utf8Char c = decode_utf8(tail);
    return c.truncated && c.length == back ? back : 0;
  }
  return 0;
}

}  // namespace pare
