/// Settings of the whole process: threads, messages, version.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pare::api {

/// The version of the library that is linked: "0.1.0".
std::string_view version();

/// Sets the number of threads of computations, 1 to 1024; by default, the CPUs that the process may run on.
/// Results do not depend on it. No other function of the library may run meanwhile. Throws Error kInvalid.
void set_threads(int count);

enum class MessageLevel { kInfo, kWarning };
using MessageSink = std::function<void(MessageLevel level, std::string_view message)>;

/// Sets the receiver of messages; by default they are dropped, since the library prints nothing. An empty
/// sink drops them. Call it before other functions of the library, not while one runs.
void set_message_sink(MessageSink sink);

/// Progress callback of long steps: the name of the step, the units done and the units in all. Units are of
/// roughly equal work; their number differs from step to step.
using Progress = std::function<void(const std::string& step, std::int64_t done, std::int64_t total)>;

}  // namespace pare::api
