// A model that is open to requests.
#pragma once

#include <optional>
#include <string>

#include "engine/chat.h"
#include "runtime/packed_model.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// One model of the server. The objects it points to must outlive the server.
struct ServedModel {
  std::string id;          // unique among those of a server
  int64_t parameters = 0;  // real ones
  const PackedModel* packed = nullptr;
  const Tokenizer* tokenizer = nullptr;
  std::optional<ChatFormat> chat;  // nothing: completions only
  std::string why_no_chat;         // why there is none, for chat requests
  // Defaults of requests: sampling, and ends of a text beside the model's.
  GenerateOptions defaults = {.sampling = {.temperature = 1.0}};
};

}  // namespace pare
