#include "checkpoint/carried_files.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quantities.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxDocumentBytes = 64 << 20;
// Beginnings of the names of documents, in lower case.
constexpr std::string_view kDocuments[] = {
    "readme",    "license", "licence",        "notice",   "use_policy", "use-policy", "copying",
    "copyright", "authors", "acceptable_use", "citation", "model_card", "terms"};

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_document(const std::string& lower) {
  return std::any_of(std::begin(kDocuments), std::end(kDocuments),
                     [&](std::string_view begin) { return lower.starts_with(begin); });
}

}  // namespace

std::vector<std::string> carry_documents(const fs::path& input, const fs::path& folder) {
  if (!fs::is_directory(input)) return {};
  std::map<std::string, fs::path> found;  // by the names of the copies
  const bool own_card = fs::is_regular_file(input / kOriginalCardFile);
  for (const auto& entry : fs::directory_iterator(input)) {
    const std::string name = entry.path().filename().string();
    const std::string lower = lower_case(name);
    if (!entry.is_regular_file() || !is_document(lower)) continue;
    if (lower != lower_case(kCardFile))
      found[name] = entry.path();
    else if (!own_card)
      found[kOriginalCardFile] = entry.path();
  }
  std::vector<std::string> names;
  for (const auto& [name, path] : found) {
    if (fs::file_size(path) > kMaxDocumentBytes) {
      log_warning("{} is larger than {} and is left behind", path.string(), format_bytes(kMaxDocumentBytes));
      continue;
    }
    write_file(folder / name, read_file(path, kMaxDocumentBytes));
    names.push_back(name);
  }
  return names;
}

}  // namespace pare
