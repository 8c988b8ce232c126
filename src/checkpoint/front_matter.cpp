#include "checkpoint/front_matter.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"

namespace pare {
namespace {

constexpr size_t kMaxBytes = 256 << 10;
constexpr std::string_view kFence = "---";

// Returns the text between the fences; empty: there is no block.
std::string_view block_of(std::string_view card) {
  if (card.starts_with("\xef\xbb\xbf")) card.remove_prefix(3);  // a byte order mark
  const auto next_line = [&card] {
    const size_t end = card.find('\n');
    std::string_view line = card.substr(0, end);
    card.remove_prefix(end == std::string_view::npos ? card.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    return line;
  };
  if (next_line() != kFence) return {};
  const std::string_view begin = card;
  while (!card.empty()) {
    const size_t before = begin.size() - card.size();
    if (next_line() == kFence) return begin.substr(0, before);
  }
  return {};
}

// Returns whether a node is a text; a null is no value.
bool is_text(const YAML::Node& node) { return node.IsScalar() && !node.Scalar().empty(); }

}  // namespace

FrontMatter read_front_matter(std::string_view card, std::string_view what) {
  FrontMatter result;
  const std::string_view block = block_of(card);
  if (block.empty()) return result;
  if (block.size() > kMaxBytes)
    fail(ErrorCode::kFormat, "{}: the front matter has {} bytes, at most {} are read", what, block.size(),
         kMaxBytes);
  try {
    const YAML::Node root = YAML::Load(std::string(block));
    if (root.IsNull()) return result;
    if (!root.IsMap()) fail(ErrorCode::kFormat, "{}: the front matter is not a map", what);
    for (const auto& entry : root) {
      if (!is_text(entry.first)) continue;
      std::vector<std::string> values;
      if (is_text(entry.second)) values.push_back(entry.second.Scalar());
      if (entry.second.IsSequence())
        for (const YAML::Node& value : entry.second)
          if (is_text(value)) values.push_back(value.Scalar());
      if (!values.empty()) result.emplace(entry.first.Scalar(), std::move(values));
    }
  } catch (const YAML::Exception& error) {
    fail(ErrorCode::kFormat, "{}: the front matter is not YAML: {}", what, error.what());
  }
  return result;
}

std::string yaml_scalar(const std::string& value) {
  // Words that YAML 1.1 takes for a truth value or null; "no" is also Norwegian.
  constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "true", "on", "off", "null", "false", "none"};
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto letter = [](unsigned char c) { return std::isalpha(c) != 0 && c < 0x80; };
  const bool plain =
      !value.empty() && letter(static_cast<unsigned char>(value.front())) &&
      std::all_of(value.begin(), value.end(), [&](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return letter(byte) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
      });
  if (plain && std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords)) return value;
  return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace pare
