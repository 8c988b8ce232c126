#include "text/files/document_ids.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace pare {
namespace {

void append(std::vector<int32_t>& ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

std::vector<int32_t> encode_joined(const Tokenizer& tokenizer, const Documents& documents) {
  std::string joined;
  for (const std::string& text : documents.texts) joined += (joined.empty() ? "" : "\n\n") + text;
  return tokenizer.encode(joined);
}

}  // namespace

std::vector<int32_t> document_ids(const Tokenizer& tokenizer, const Documents& documents,
                                  std::span<const int32_t> ends, bool plain_template, size_t enough) {
  if (!documents.records)
    return tokenizer.encode(documents.texts.front(), {.add_special_tokens = plain_template});
  const bool has_template = !tokenizer.spec().prefix.empty() || !tokenizer.spec().suffix.empty();
  if (!has_template && ends.empty()) return encode_joined(tokenizer, documents);
  std::vector<int32_t> ids;
  for (const std::string& text : documents.texts) {
    if (ids.size() >= enough) break;
    if (!has_template && !ids.empty()) ids.push_back(ends.front());
    append(ids, tokenizer.encode(text, {.add_special_tokens = true}));
  }
  return ids;
}

double unknown_share(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  if (ids.empty()) return 0.0;
  const auto unknown = tokenizer.spec().unknown;
  const auto count = std::count_if(ids.begin(), ids.end(), [&](int32_t id) {
    if (unknown && id == *unknown) return true;
    const std::string& bytes = tokenizer.token_bytes(id);
    return bytes.size() == 1 && static_cast<unsigned char>(bytes.front()) >= 0x80;
  });
  return static_cast<double>(count) / static_cast<double>(ids.size());
}

void require_known_text(const Tokenizer& tokenizer, std::span<const int32_t> ids, std::string_view what) {
  const double share = unknown_share(tokenizer, ids);
  if (share > kRefusedUnknownShare)
    fail(
        ErrorCode::kInvalid,
        "{}: {:.0f} % of its tokens are unknown or single bytes: the model's tokenizer does not know what is "
        "written there; is it a text in a language of the model?",
        what, 100.0 * share);
  if (share > kWarnedUnknownShare)
    log_warning("{}: {:.0f} % of its tokens are unknown or single bytes: the model hardly knows such text",
                what, 100.0 * share);
}

}  // namespace pare
