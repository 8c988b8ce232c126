// Models behind an HTTP port: the OpenAI API as far as it fits, and a page to compare them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/model_thread.h"
#include "serve/served_model.h"

namespace pare {

struct ServeOptions {
  std::string host = "127.0.0.1";  // an address or a name
  uint16_t port = 8080;            // 0: one that is free
  std::string api_key;             // key that requests must send; empty: none
  std::vector<std::string> cors;   // origins whose pages may read the answers; "*": all origins
  double drain = 5.0;              // seconds in which answers may be finished when the server is told to stop
  std::string version;             // version of the program, for GET /version
  ModelThreadLimits limits;
};

// Serves GET / (the page), /health, /version, /metrics, /v1/models and /v1/models/ID, POST /v1/completions,
// /v1/chat/completions, /tokenize and /detokenize; "/v1" may be left out.
class Server {
 public:
  // Listens at once. Throws kUsage for options out of range and kIo when the address cannot be had.
  explicit Server(const ServeOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "http://127.0.0.1:8080"
  std::string url() const;
  uint16_t port() const;
  // Calls `load` for the models, at least one; requests are told 503 ("loading") meanwhile. Then answers
  // until SIGINT, SIGTERM or stop(). After a signal, new requests are told 503, and what is being generated
  // may end within `drain` seconds; then, or at a second signal, it is cut off. Throws what `load` throws.
  void run(const std::function<std::vector<ServedModel>()>& load);
  // Ends run() at once. Safe to call from any thread.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare
