// pare convert: the same model in another file format or type.
#include <cmath>
#include <memory>

#include "base/atomic_file.h"
#include "base/rng.h"
#include "commands.h"
#include "compress/probe.h"
#include "io/output_folder.h"
#include "model/copy_files.h"
#include "model/forward.h"
#include "model/load.h"
#include "model/save.h"
#include "model/visit.h"
#include "options.h"
#include "output.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kProbeTokens = 32;

struct Options {
  std::string model;
  std::string out;
  std::optional<Encoding> dtype;
  uint64_t max_shard_bytes = kDefaultShardBytes;
};

// A file that is written and checked as PATH.partial, and gets its name afterwards.
class PartialFile {
 public:
  explicit PartialFile(const fs::path& final_path) : final_(fs::absolute(final_path)), partial_(final_) {
    if (fs::exists(final_)) fail(ErrorCode::kInvalid, "the output {} exists", final_.string());
    if (!fs::is_directory(final_.parent_path()))
      fail(ErrorCode::kIo, "the parent folder {} of the output does not exist",
           final_.parent_path().string());
    partial_ += ".partial";
  }
  ~PartialFile() {
    std::error_code ignored;
    fs::remove(partial_, ignored);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const fs::path& path() const { return partial_; }
  void commit() {
    std::error_code error;
    fs::rename(partial_, final_, error);
    if (error)
      fail(ErrorCode::kIo, "cannot rename {} to {}: {}", partial_.string(), final_.string(), error.message());
    sync_folder(final_.parent_path());
  }

 private:
  fs::path final_;
  fs::path partial_;
};

// Logits (tokens, vocab) after pseudo-random tokens.
Matrix<float> probe(const Model& model) {
  Rng rng(1);
  std::vector<int32_t> tokens;
  const auto vocab = static_cast<uint64_t>(model.config.vocab_size);
  for (int64_t i = 0; i < std::min(kProbeTokens, model.config.max_positions); ++i)
    tokens.push_back(static_cast<int32_t>(rng.below(vocab)));
  const PackedModel packed(model, ComputeType::kF32);
  KvCache cache(packed, static_cast<int64_t>(tokens.size()));
  return logits_of(packed, forward(packed, tokens, cache).view());
}

std::vector<Encoding> encodings(const Model& model) {
  std::vector<Encoding> list;
  for_each_tensor(
      model, [&](const TensorPlace&, const Weight& weight) { list.push_back(weight.encoding); },
      [](const TensorPlace&, const std::vector<float>&) {});
  return list;
}

// How far logits may move, relative to the largest. Where every type holds what it is given, not at all (but
// GGUF keeps the numbers of the rotary embedding in f32). Else each matrix adds up to half a unit in the last
// place, errors grow as the square root of their number, and there is room for four times as much.
double tolerance(const Model& before, const Model& after, bool gguf) {
  const std::vector<Encoding> from = encodings(before);
  const std::vector<Encoding> to = encodings(after);
  PARE_CHECK(from.size() == to.size());
  double unit = 0.0;
  for (size_t i = 0; i < from.size(); ++i)
    if (to[i] != from[i] && to[i] != Encoding::kF32)
      unit = std::max(unit, to[i] == Encoding::kF16 ? 0x1p-12 : 0x1p-9);
  if (unit == 0.0) return gguf ? 1e-5 : 0.0;
  return 4.0 * unit * std::sqrt(static_cast<double>(from.size()));
}

void verify(const Model& model, const fs::path& written, bool gguf) {
  const Model reloaded = load_model(written);
  check_finite(reloaded);
  const Matrix<float> expected = probe(model);
  const Matrix<float> got = probe(reloaded);
  const double difference = relative_difference(expected.view(), got.view());
  const double allowed = tolerance(model, reloaded, gguf);
  if (!(difference <= allowed))
    fail(ErrorCode::kNumeric, "the written model's logits differ by {:.2e} (at most {:.2e})", difference,
         allowed);
  const ModelSize size = model_size(reloaded);
  print_line("{} parameters, {}, read back: {}", format_count(size.parameters), format_bytes(size.bytes),
             difference == 0.0
                 ? "logits identical"
                 : fmt::format("logits differ by {:.1e} (at most {:.1e})", difference, allowed));
}

void convert_to_gguf(const Options& options, const Model& model) {
  PartialFile file(options.out);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  save_gguf(model, tokenizer, file.path(), options.dtype, read_chat_info(options.model, tokenizer));
  verify(model, file.path(), true);
  file.commit();
}

void convert_to_folder(const Options& options, const Model& model) {
  OutputFolder folder(options.out, options.model);
  copy_tokenizer_files(options.model, folder.path());
  save_hf(model, folder.path(), options.dtype, options.max_shard_bytes);
  verify(model, folder.path(), false);
  folder.commit();
}

void run(const Options& options) {
  const Model model = load_model(options.model);
  check_finite(model);
  if (fs::path(options.out).extension() == ".gguf")
    convert_to_gguf(options, model);
  else
    convert_to_folder(options, model);
}

}  // namespace

void add_convert(CLI::App& app) {
  static const std::map<std::string, Encoding> kTypes = {
      {"f32", Encoding::kF32}, {"f16", Encoding::kF16}, {"bf16", Encoding::kBF16}};
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("convert", "Write a model in another format or type, and check it");
  add_model(*command, options->model);
  command
      ->add_option("-o,--output", options->out,
                   "A new .gguf file, or a new Hugging Face folder for any other name")
      ->required();
  command
      ->add_option(
          "--dtype", options->dtype,
          "Type of the matrices: f32, f16 or bf16 (default: as they are; quantised ones become bf16)")
      ->transform(CLI::CheckedTransformer(kTypes).description(""));
  command
      ->add_option("--max-shard-size", options->max_shard_bytes,
                   "Largest safetensors file, in bytes or with a unit as in 500MB (default 5GB)")
      ->transform(CLI::AsSizeValue(true).description(""));
  command->callback([options] { run(*options); });
}

}  // namespace pare
