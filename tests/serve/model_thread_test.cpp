// The model thread, without a server.
#include "serve/model_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "serve/served_tiny.h"

namespace pare::test {
namespace {

// The way in which a sequence ends, and the sequences that load() counts then.
using End = std::pair<std::string, int64_t>;

TEST(ModelThread, DoesNotCountASequenceThatHasEnded) {
  const ServedTiny tiny;
  const std::vector<ServedModel> models = tiny.models();
  ModelThread thread(models, {.parallel = 2, .context = 64, .queue = 8});
  const auto end_of = [&](size_t model, std::vector<int32_t> prompt, std::function<bool()> wanted = {}) {
    std::promise<End> end;
    const auto counted = [&] {
      int64_t sequences = 0;
      for (const ModelLoad& load : thread.load()) sequences += load.running + load.waiting;
      return sequences;
    };
    BatchRequest request;
    request.prompt = std::move(prompt);
    request.options.max_tokens = 3;
    request.options.ignore_eos = true;
    request.sink = [](std::string_view) { return true; };
    request.wanted = std::move(wanted);
    request.done = [&](const Generation& generation) {
      end.set_value({fmt::format("{} tokens", generation.tokens.size()), counted()});
    };
    request.failed = [&](const Error&) { end.set_value({"failed", counted()}); };
    std::vector<BatchRequest> requests;
    requests.push_back(std::move(request));
    EXPECT_TRUE(thread.submit(model, std::move(requests)));
    return end.get_future().get();
  };
  EXPECT_EQ(end_of(0, {1, 2}), End("3 tokens", 0));
  EXPECT_EQ(end_of(1, {1, 2}), End("3 tokens", 0));
  EXPECT_EQ(end_of(0, std::vector<int32_t>(100, 1)), End("failed", 0));
  EXPECT_EQ(end_of(0, {1, 2}, [] { return false; }), End("0 tokens", 0));
}

}  // namespace
}  // namespace pare::test
