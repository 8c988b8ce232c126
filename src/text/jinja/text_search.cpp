#include "text/jinja/text_search.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "text/jinja/meter.h"

namespace pare {
namespace {

constexpr size_t kByteWork = 4;  // for each byte that is looked at one by one

// A text read from its end, or from its start.
template <bool Back>
struct Reading {
  std::string_view text;

  size_t size() const { return text.size(); }
  char operator[](size_t i) const { return Back ? text[text.size() - 1 - i] : text[i]; }
  // The first place of a byte at `from` or behind it, size() where there is none.
  size_t find(char byte, size_t from) const {
    if constexpr (Back) {
      constexpr size_t kBlock = 4096;  // checkers of memory look at all that memrchr may read
      for (size_t end = text.size() - from; end > 0;) {
        const size_t begin = end - std::min(end, kBlock);
        if (const void* found = memrchr(text.data() + begin, byte, end - begin))
          return text.size() - 1 - static_cast<size_t>(static_cast<const char*>(found) - text.data());
        end = begin;
      }
    } else if (const void* found = std::memchr(text.data() + from, byte, text.size() - from)) {
      return static_cast<size_t>(static_cast<const char*>(found) - text.data());
    }
    return text.size();
  }
};

// Knuth, Morris, Pratt: the length of the longest proper prefix of each prefix that is its end, too.
template <bool Back>
std::vector<uint32_t> borders_of(const Reading<Back>& wanted) {
  jinja_require_memory(wanted.size(), sizeof(uint32_t));
  jinja_spend(kByteWork * wanted.size());
  std::vector<uint32_t> borders(wanted.size(), 0);
  for (size_t i = 1, matched = 0; i < wanted.size(); ++i) {
    while (matched > 0 && wanted[i] != wanted[matched]) matched = borders[matched - 1];
    if (wanted[i] == wanted[matched]) ++matched;
    borders[i] = static_cast<uint32_t>(matched);
  }
  return borders;
}

// Returns where `wanted`, which is not empty, begins first; size() where it does not occur.
template <bool Back>
size_t search(const Reading<Back>& text, const Reading<Back>& wanted) {
  if (wanted.size() > text.size()) return text.size();
  const std::vector<uint32_t> borders = borders_of(wanted);
  size_t matched = 0;
  for (size_t pos = 0; pos < text.size(); ++pos) {
    if (matched == 0) {
      const size_t next = text.find(wanted[0], pos);
      jinja_spend(next - pos);
      pos = next;
      if (text.size() - pos < wanted.size()) break;
    }
    jinja_spend(kByteWork);
    while (matched > 0 && text[pos] != wanted[matched]) matched = borders[matched - 1];
    if (text[pos] == wanted[matched]) ++matched;
    if (matched == wanted.size()) return pos + 1 - matched;
  }
  return text.size();
}

}  // namespace

size_t jinja_find(std::string_view text, std::string_view wanted, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  text.remove_prefix(from);
  const size_t at = search<false>({text}, {wanted});
  return at == text.size() ? std::string_view::npos : from + at;
}

size_t jinja_rfind(std::string_view text, std::string_view wanted, size_t end) {
  text = text.substr(0, end);
  if (wanted.empty()) return text.size();
  const size_t at = search<true>({text}, {wanted});
  return at == text.size() ? std::string_view::npos : text.size() - at - wanted.size();
}

bool jinja_same_text(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  jinja_spend(a.size());
  return a == b;
}

}  // namespace pare
