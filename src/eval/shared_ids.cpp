#include "eval/shared_ids.h"

#include <utility>

#include "checkpoint/load.h"
#include "text/files/document_ids.h"

namespace pare {

std::vector<int32_t> shared_ids(const std::vector<std::string>& models, const Documents& documents) {
  std::vector<int32_t> ids;
  for (size_t m = 0; m < models.size(); ++m) {
    const Tokenizer tokenizer = load_tokenizer(models[m]);
    const auto ends = documents.records ? load_model(models[m]).config.eos : std::vector<int32_t>();
    std::vector<int32_t> own = document_ids(tokenizer, documents, ends, true);
    if (m == 0) {
      ids = std::move(own);
      require_known_text(tokenizer, ids, documents.source);
    } else if (own != ids) {
      fail(ErrorCode::kInvalid, "the tokenizers of {} and {} give different ids for {}", models[0], models[m],
           documents.source);
    }
  }
  return ids;
}

}  // namespace pare
