// The connections of a server, and the state that they share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "serve/cors.h"
#include "serve/metrics.h"
#include "serve/model_thread.h"
#include "serve/served_model.h"

namespace pare {

class Session;

// State of a server, which decides what it does for a new request.
enum class ServerState { kLoading, kReady, kDraining };

// State of all connections; used on the server's thread only, but for the model thread, and for models and
// context, which do not change once there are requests.
struct SharedState {
  ServerState state = ServerState::kLoading;
  std::vector<ServedModel> models;
  ModelThread* model_thread = nullptr;  // null while models load
  std::string api_key;
  std::string version;
  CorsPolicy cors{{}};
  int64_t context = 0;
  int64_t started = 0;    // start of the server, in seconds of the epoch
  uint64_t answers = 0;   // number of answers so far
  std::string id_prefix;  // random prefix of the answers' ids
  Metrics metrics;
  std::set<std::shared_ptr<Session>> sessions;  // the open ones
  int64_t at_work = 0;                          // requests that are read, run or written
  std::function<void()> changed;                // called when sessions or at_work became less
  // Threads for work that may take long. There are several readers, so that a costly request does not delay
  // all others; answers do not wait behind requests that are read.
  boost::asio::thread_pool readers{4};
  boost::asio::thread_pool writers{1};
};

// Reads requests one after another and answers them. `state` must outlive the session.
void start_session(boost::asio::ip::tcp::socket socket, SharedState& state);
// Answers all running generations with an error.
void cut_sessions(SharedState& state);
// Ends each session when it has sent its answer.
void end_sessions(SharedState& state);
// Closes all sessions.
void close_sessions(SharedState& state);

}  // namespace pare
