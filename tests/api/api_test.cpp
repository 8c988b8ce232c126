// The public face, against what lies behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "pare/pare.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

using api::ErrorCode;
using testing::HasSubstr;

const std::string kModel = PARE_GOLDEN_DIR "/tiny-model";
const std::string kText = PARE_GOLDEN_DIR "/text/test.txt";
const std::string kCalibration = PARE_GOLDEN_DIR "/text/calibration.txt";

// Calls what must throw.
template <typename Call>
void expect_error(Call&& call, ErrorCode code, const std::string& message) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const api::Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Api, ModelsAreLoadedAndDescribed) {
  const api::Model model = api::Model::load(kModel, api::Precision::kF32);
  const api::ModelInfo info = model.info();
  EXPECT_EQ(info.vocab_size, 384);
  EXPECT_EQ(info.context, 256);
  EXPECT_EQ(info.layers, 4);
  constexpr std::int64_t kNorms = 9 * 64;  // the only values that are stored and read in f32
  EXPECT_GT(info.parameters, kNorms);
  EXPECT_EQ(info.bytes, 2 * info.parameters + 2 * kNorms);
  EXPECT_EQ(info.bytes_per_token, 4 * (info.parameters - kNorms));
  const std::vector<std::int32_t> ids = model.encode("Mira");
  EXPECT_EQ(model.decode(ids), "Mira");
  expect_error([] { api::Model::load("/nonexistent/model"); }, ErrorCode::kNotFound, "/nonexistent/model");
  expect_error([&] { model.decode(std::vector<std::int32_t>{384}); }, ErrorCode::kInvalid, "384");
}

TEST(Api, LogitsAreThoseThatGenerationDrawsFrom) {
  const api::Model model = api::Model::load(kModel, api::Precision::kF32);
  const std::vector<std::int32_t> ids = model.encode("Mira");
  const std::vector<float> logits = model.logits(ids);
  ASSERT_EQ(logits.size(), ids.size() * 384);
  const auto best = std::max_element(logits.end() - 384, logits.end()) - (logits.end() - 384);
  const api::Generated generated = model.generate("Mira", {.max_tokens = 1, .temperature = 0.0});
  EXPECT_EQ(generated.tokens, std::vector<std::int32_t>{static_cast<std::int32_t>(best)});
  EXPECT_EQ(generated.prompt_tokens, static_cast<std::int64_t>(ids.size()));
  EXPECT_EQ(generated.finish, api::Finish::kLength);
  expect_error([&] { model.logits({}); }, ErrorCode::kInvalid, "there are 0 tokens");
  expect_error([&] { model.logits(std::vector<std::int32_t>(257, 5)); }, ErrorCode::kInvalid, "257 tokens");
}

TEST(Api, GenerationCanBeStoppedAndIsRepeatable) {
  const api::Model model = api::Model::load(kModel);
  const api::GenerateOptions options = {.max_tokens = 12, .temperature = 1.0, .seed = 7};
  const api::Generated first = model.generate("Mira", options);
  EXPECT_EQ(first.text, model.generate("Mira", options).text);
  std::string seen;
  const api::Generated stopped = model.generate("Mira", options, [&](std::string_view text) {
    seen += text;
    return false;
  });
  EXPECT_EQ(stopped.finish, api::Finish::kCancelled);
  EXPECT_EQ(stopped.text, seen);
  EXPECT_EQ(first.text.substr(0, seen.size()), seen);
  expect_error([&] { model.generate("Mira", {.top_p = 2.0}); }, ErrorCode::kUsage,
               "`top_p` is 2, expected more than 0, at most 1");
  // What a callback throws is not the library's.
  EXPECT_THROW(model.generate("Mira", options, [](std::string_view) -> bool { throw 1; }), int);
}

TEST(Api, CompressesAndEvaluates) {
  const TempDir folder;
  const std::string out = (folder / "out").string();
  const api::CompressOptions options = {.calib = {kCalibration}, .nsamples = 4, .seqlen = 64};
  const api::CompressionCost cost = api::compression_cost(kModel, "slice:0.1", out, options);
  EXPECT_GT(cost.memory, 0);
  EXPECT_GT(cost.seconds, 0.0);
  EXPECT_FALSE(std::filesystem::exists(out));
  int steps = 0;
  const api::Compressed result = api::compress(
      kModel, "slice:0.1", out, options,
      [&](const std::string& step, std::int64_t, std::int64_t) { steps += step.empty() ? 0 : 1; });
  EXPECT_GT(steps, 0);
  EXPECT_LE(static_cast<double>(result.parameters_after),
            0.9 * static_cast<double>(result.parameters_before));
  std::ifstream manifest(folder / "out/pare.json");
  EXPECT_EQ(result.manifest, std::string(std::istreambuf_iterator<char>(manifest), {}));

  const std::vector<api::Quality> measured = api::evaluate({kModel, out}, {.ppl = kText, .seqlen = 64});
  ASSERT_EQ(measured.size(), 2u);
  EXPECT_EQ(measured[0].kl, 0.0);
  EXPECT_EQ(measured[0].top1, 1.0);
  EXPECT_EQ(measured[0].parameters, result.parameters_before);
  EXPECT_EQ(measured[1].parameters, result.parameters_after);
  EXPECT_GT(measured[1].kl, 0.0);
  EXPECT_GT(measured[1].kl_99, measured[1].kl);
  EXPECT_GT(*measured[1].perplexity, 1.0);
  EXPECT_GT(*measured[1].perplexity_error, 0.0);
}

TEST(Api, RequestsThatMakeNoSenseAreNamed) {
  expect_error([] { api::compress(kModel, "shrink", "/nonexistent/out"); }, ErrorCode::kUsage,
               "`recipe`, 'shrink': there is no pass 'shrink'");
  expect_error([] { api::compress(kModel, "slice:0.1", "/nonexistent/out", {.nsamples = 0}); },
               ErrorCode::kUsage, "`nsamples` is 0");
  expect_error([] { api::evaluate({}, {.ppl = kText}); }, ErrorCode::kUsage, "no model");
  expect_error([] { api::evaluate({kModel}, {}); }, ErrorCode::kUsage, "give `ppl`, `tasks`, or both");
  expect_error([] { api::evaluate({kModel}, {.ppl = kText, .seqlen = 1}); }, ErrorCode::kUsage,
               "`seqlen` is 1");
  expect_error([] { api::set_threads(0); }, ErrorCode::kInvalid, "0");
}

TEST(Api, MessagesGoWhereTheyAreWanted) {
  std::vector<std::string> messages;
  api::set_message_sink([&](api::MessageLevel level, std::string_view message) {
    messages.push_back((level == api::MessageLevel::kWarning ? "! " : "") + std::string(message));
  });
  log_warning("careful");
  log_info("so far");
  api::set_message_sink({});
  log_info("dropped");
  EXPECT_EQ(messages, (std::vector<std::string>{"! careful", "so far"}));
}

}  // namespace
}  // namespace pare::test
