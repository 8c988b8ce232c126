// Bodies of requests to the server: an error of the right kind, sequences that an engine can run, or ids and
// texts.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "checkpoint/load.h"
#include "serve/api_reply.h"
#include "serve/api_request.h"
#include "serve/api_tokenize.h"
#include "text/chat/chat_styles.h"

namespace {

constexpr int64_t kContext = 64;

struct Served {
  pare::Tokenizer tokenizer = pare::load_tokenizer(PARE_GOLDEN_DIR "/tiny-model");
  pare::PackedModel packed{pare::load_model(PARE_GOLDEN_DIR "/tiny-model"), pare::ComputeType::kF32};
  std::vector<pare::ServedModel> models = {
      {"tiny", 0, &packed, &tokenizer,
       pare::ChatFormat{pare::chat_template_named("chatml", {{"eos_token", "<|im_end|>"}}), tokenizer}, ""}};
};

void check(const pare::ApiRequest& request) {
  PARE_CHECK(request.model == 0);
  PARE_CHECK(!request.choices.empty() && static_cast<int64_t>(request.choices.size()) <= pare::kMaxChoices);
  for (const pare::ApiChoice& choice : request.choices) {
    pare::validate(choice.options);
    const int64_t room = choice.options.max_tokens == 0 ? kContext : kContext - 1;
    PARE_CHECK(!choice.prompt.empty() && static_cast<int64_t>(choice.prompt.size()) <= room);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Served served;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 4) {
      case 0:
        check(pare::read_api_request(pare::ApiKind::kCompletion, body, served.models, kContext));
        break;
      case 1:
        check(pare::read_api_request(pare::ApiKind::kChat, body, served.models, kContext));
        break;
      case 2:
        pare::json_text(pare::tokenize_json(body, served.models, kContext));
        break;
      default:
        pare::json_text(pare::detokenize_json(body, served.models));
    }
  } catch (const pare::Error& error) {
    PARE_CHECK(pare::http_status(error.code()) < 500);
    pare::json_text(pare::error_json(error));
  }
  return 0;
}
