#include "base/placeholder.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace pare {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool begins_with(std::string_view text, std::string_view lower) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [&](char b, char a) { return same(a, b); });
}

}  // namespace

void reject_lfs_pointer(std::string_view text, std::string_view what) {
  if (text.starts_with("version https://git-lfs.github.com/spec/"))
    fail(ErrorCode::kFormat, "{} is a Git LFS pointer, not the file itself: fetch it with \"git lfs pull\"",
         what);
}

void reject_lfs_pointer(std::span<const std::byte> bytes, std::string_view what) {
  reject_lfs_pointer(text_of(bytes), what);
}

void reject_html(std::string_view text, std::string_view what) {
  const size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  text.remove_prefix(start);
  if (begins_with(text, "<!doctype html") || begins_with(text, "<html"))
    fail(ErrorCode::kFormat,
         "{} is a page of HTML, not the file itself: the download needed a login, or went wrong", what);
}

void reject_html(std::span<const std::byte> bytes, std::string_view what) {
  reject_html(text_of(bytes), what);
}

}  // namespace pare
