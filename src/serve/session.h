// The connections of a server, and what they share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "serve/cors.h"
#include "serve/engine.h"
#include "serve/metrics.h"
#include "serve/served_model.h"

namespace pare {

class Session;

// What a server can do for a request that comes now.
enum class ServerState { kLoading, kReady, kDraining };

// What all connections share; used on the server's thread only, but for the engine, and for models and
// context, which do not change once there are requests.
struct SharedState {
  ServerState state = ServerState::kLoading;
  std::vector<ServedModel> models;
  Engine* engine = nullptr;  // null while models load
  std::string api_key;
  std::string version;
  CorsPolicy cors{{}};
  int64_t context = 0;
  int64_t started = 0;    // in seconds of the epoch
  uint64_t answers = 0;   // so far
  std::string id_prefix;  // of answers, random
  Metrics metrics;
  std::set<std::shared_ptr<Session>> sessions;  // those that are open
  int64_t at_work = 0;                          // requests that are read, run or written
  std::function<void()> changed;                // called when one of the two became less
  // Threads that do for a connection what may take long. Several read, so that a costly request is not in the
  // way of all others; answers do not wait behind what is read.
  boost::asio::thread_pool readers{4};
  boost::asio::thread_pool writers{1};
};

// Reads requests one after another and answers them. `state` must outlive it.
void start_session(boost::asio::ip::tcp::socket socket, SharedState& state);
// What is being generated is answered with an error.
void cut_sessions(SharedState& state);
// Each ends when what it has to say is said.
void end_sessions(SharedState& state);
// Closes all of them.
void close_sessions(SharedState& state);

}  // namespace pare
