#include "serve/api_tokenize.h"

#include <algorithm>

#include "engine/generator.h"
#include "serve/api_fields.h"
#include "serve/api_request.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr size_t kMaxPieces = size_t{1} << 18;  // pieces of a text whose tokens are written out
constexpr size_t kMaxText = size_t{8} << 20;    // bytes that ids may become: as many as a body may have

// Bytes that are no text by themselves are a list of numbers, as in llama.cpp.
Json piece_json(const std::string& bytes) {
  std::string text;
  append_replacing_invalid(text, bytes);
  if (text == bytes) return text;
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return list;
}

}  // namespace

Json tokenize_json(std::string_view body, const std::vector<ServedModel>& models, int64_t context) {
  const Json json = read_api_body(body);
  const ServedModel& model = models[read_model(json, models)];
  const bool is_content = !field(json, "content").is_null();
  if (!is_content && field(json, "prompt").is_null())
    fail(ErrorCode::kFormat, "{}: it has neither \"content\" nor \"prompt\"", kRequest);
  const char* name = is_content ? "content" : "prompt";
  const std::string text = json_get<std::string>(json, name, kRequest);
  require_text_fits(text.size(), usable_context(context, model.packed->config), name);
  const EncodeOptions options = {
      .add_special_tokens = boolean(json, "add_special_tokens", boolean(json, "add_special", !is_content)),
      .parse_special = boolean(json, "parse_special", true)};
  const std::vector<int32_t> ids = model.tokenizer->encode(text, options);
  Json tokens = ids;
  const bool with_pieces = boolean(json, "with_pieces");
  const bool with_texts = boolean(json, "return_token_strs");
  if ((with_pieces || with_texts) && ids.size() > kMaxPieces)
    fail(ErrorCode::kInvalid, "\"{}\" of a text of {} tokens, expected at most {}",
         with_pieces ? "with_pieces" : "return_token_strs", ids.size(), kMaxPieces);
  if (with_pieces)
    std::transform(ids.begin(), ids.end(), tokens.begin(), [&](int32_t id) {
      return Json{{"id", id}, {"piece", piece_json(model.tokenizer->token_bytes(id))}};
    });
  Json answer = {{"tokens", std::move(tokens)},
                 {"count", ids.size()},
                 {"max_model_len", usable_context(context, model.packed->config)}};
  if (with_texts) {
    answer["token_strs"] = Json::array();
    for (const int32_t id : ids) answer["token_strs"].push_back(model.tokenizer->token_bytes(id));
  }
  return answer;
}

Json detokenize_json(std::string_view body, const std::vector<ServedModel>& models) {
  const Json json = read_api_body(body);
  const ServedModel& model = models[read_model(json, models)];
  const Json& list = field(json, "tokens");
  if (!list.is_array()) fail(ErrorCode::kFormat, "\"tokens\" is not a list of token ids");
  std::vector<int32_t> ids;
  size_t bytes = 0;
  for (const Json& value : list) {
    const std::optional<int64_t> id = whole_number(value);
    if (!id || *id < 0 || *id >= model.tokenizer->vocab_size())
      fail(ErrorCode::kInvalid, "\"tokens\" holds {}, expected ids from 0 to {}", value.dump().substr(0, 80),
           model.tokenizer->vocab_size() - 1);
    ids.push_back(static_cast<int32_t>(*id));
    bytes += model.tokenizer->token_bytes(ids.back()).size();
    if (bytes > kMaxText)
      fail(ErrorCode::kInvalid, "the text of \"tokens\" has more than {} bytes", kMaxText);
  }
  const std::string text = model.tokenizer->decode(ids, false);
  return {{"content", text}, {"prompt", text}};
}

}  // namespace pare
