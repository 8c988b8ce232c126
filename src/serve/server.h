// Models behind an HTTP port: the OpenAI API as far as it fits, and a page to compare them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "serve/engine.h"
#include "serve/served_model.h"

namespace pare {

struct ServeOptions {
  std::string host = "127.0.0.1";  // an address or a name
  uint16_t port = 8080;            // 0: one that is free
  std::string api_key;             // what requests must bear; empty: nothing
  EngineLimits limits;
};

// GET / (the page), /health and /v1/models, POST /v1/completions and /v1/chat/completions.
class Server {
 public:
  // Listens from now on. Throws kUsage for options out of range and kIo when the address cannot be had.
  Server(std::vector<ServedModel> models, const ServeOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "http://127.0.0.1:8080"
  std::string url() const;
  uint16_t port() const;
  // Answers until SIGINT, SIGTERM or stop(); what is being generated then is cut off.
  void run();
  // Safe to call from any thread.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare
