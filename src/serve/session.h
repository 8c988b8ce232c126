// The connections of a server, and what they share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "serve/engine.h"
#include "serve/served_model.h"

namespace pare {

class Connection;

// What all connections share; used on the server's thread only, but for the engine.
struct SharedState {
  std::vector<ServedModel> models;
  std::string api_key;
  int64_t context = 0;
  int64_t started = 0;    // in seconds of the epoch
  uint64_t answers = 0;   // so far
  std::string id_prefix;  // of answers, random
  Engine* engine = nullptr;
  std::set<std::shared_ptr<Connection>> sessions;  // those that are open
};

// Reads requests one after another and answers them. `state` must outlive it.
void start_session(boost::asio::ip::tcp::socket socket, SharedState& state);
// Closes all of them.
void close_sessions(SharedState& state);

}  // namespace pare
