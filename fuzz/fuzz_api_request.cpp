// Bodies of requests to the server: an error of the right kind, or sequences that an engine can run.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "model/load.h"
#include "serve/api_reply.h"
#include "serve/api_request.h"
#include "text/chat_styles.h"

namespace {

constexpr int64_t kContext = 64;

struct Served {
  pare::Tokenizer tokenizer = pare::load_tokenizer(PARE_GOLDEN_DIR "/tiny-model");
  pare::PackedModel packed{pare::load_model(PARE_GOLDEN_DIR "/tiny-model"), pare::ComputeType::kF32};
  std::vector<pare::ServedModel> models = {
      {"tiny", 0, &packed, &tokenizer,
       pare::ChatFormat{pare::chat_template_named("chatml", {{"eos_token", "<|im_end|>"}}), tokenizer}, ""}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Served served;
  if (size == 0) return 0;
  const auto kind = data[0] % 2 == 0 ? pare::ApiKind::kCompletion : pare::ApiKind::kChat;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const pare::ApiRequest request = pare::read_api_request(kind, body, served.models, kContext);
    PARE_CHECK(request.model == 0);
    PARE_CHECK(!request.choices.empty() && static_cast<int64_t>(request.choices.size()) <= pare::kMaxChoices);
    for (const pare::ApiChoice& choice : request.choices) {
      pare::validate(choice.options);
      PARE_CHECK(!choice.prompt.empty() && static_cast<int64_t>(choice.prompt.size()) < kContext);
    }
  } catch (const pare::Error& error) {
    PARE_CHECK(pare::http_status(error.code()) < 500);
    pare::json_text(pare::error_json(400, error.what()));
  }
  return 0;
}
