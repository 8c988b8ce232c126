// The tiny golden model as a server has it.
#pragma once

#include "checkpoint/load.h"
#include "serve/served_model.h"
#include "text/chat/chat_styles.h"

namespace pare::test {

struct ServedTiny {
  Tokenizer tokenizer = load_tokenizer(PARE_GOLDEN_DIR "/tiny-model");
  PackedModel packed{load_model(PARE_GOLDEN_DIR "/tiny-model"), ComputeType::kF32};
  ChatFormat format = {chat_template_named("chatml", {{"eos_token", "<|im_end|>"}}), tokenizer};

  std::vector<ServedModel> models() const {
    return {{"tiny", 1000, &packed, &tokenizer, format, ""},
            {"mute", 1000, &packed, &tokenizer, std::nullopt, "mute has no chat template"}};
  }
};

}  // namespace pare::test
