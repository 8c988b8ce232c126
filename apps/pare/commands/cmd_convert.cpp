// pare convert: the same model in another file format or type.
#include <memory>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/quantities.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"
#include "checkpoint/model_card.h"
#include "checkpoint/save.h"
#include "checkpoint/verify_saved.h"
#include "commands/commands.h"
#include "io/output_file.h"
#include "io/output_folder.h"
#include "options/options.h"
#include "report/output.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model;
  std::string out;
  std::string to = "dense";
  std::string pattern;
  std::string dtype = "same";
  uint64_t max_shard_bytes = kDefaultShardBytes;

  std::optional<WeightFormat> values() const;
  StorageFormat format() const { return storage_format(to); }
};

struct TypeName {
  const char* name;
  std::optional<WeightFormat> format;
};
constexpr TypeName kTypes[] = {{"same", std::nullopt},
                               {"f32", Encoding::kF32},
                               {"f16", Encoding::kF16},
                               {"bf16", Encoding::kBF16},
                               {"int8", Encoding::kInt8},
                               {"q8_0", Encoding::kQ8_0},
                               {"q6_k", Encoding::kQ6_K},
                               {"q5_k", Encoding::kQ5_K},
                               {"q5_1", Encoding::kQ5_1},
                               {"q5_0", Encoding::kQ5_0},
                               {"q4_k", Encoding::kQ4_K},
                               {"q4_1", Encoding::kQ4_1},
                               {"q4_0", Encoding::kQ4_0},
                               {"iq4_nl", Encoding::kIQ4_NL},
                               {"iq4_xs", Encoding::kIQ4_XS},
                               {"q3_k", Encoding::kQ3_K},
                               {"q2_k", Encoding::kQ2_K},
                               {"q4n", Encoding::kQ4N},
                               {"q3n", Encoding::kQ3N},
                               {"int4-g32", WeightFormat(kDense, Encoding::kInt4, 32)},
                               {"int4-g64", WeightFormat(kDense, Encoding::kInt4, 64)},
                               {"int4-g128", WeightFormat(kDense, Encoding::kInt4, 128)},
                               {"int4-g32-z", WeightFormat(kDense, Encoding::kInt4, 32, true)},
                               {"int4-g64-z", WeightFormat(kDense, Encoding::kInt4, 64, true)},
                               {"int4-g128-z", WeightFormat(kDense, Encoding::kInt4, 128, true)}};

std::optional<WeightFormat> Options::values() const {
  for (const TypeName& type : kTypes)
    if (type.name == dtype) return type.format;
  fail(ErrorCode::kInternal, "no type {}", dtype);
}

void print_check(const SavedCheck& check) {
  std::string text =
      fmt::format("{} parameters, {} ({:.2f} bits each), read back: ", format_count(check.size.parameters),
                  format_bytes(check.size.bytes),
                  8.0 * static_cast<double>(check.size.bytes) / static_cast<double>(check.size.parameters));
  if (check.difference == 0.0)
    text += "logits identical";
  else
    text += fmt::format("logits differ by {:.1e} (at most {:.1e})", check.difference, check.allowed);
  if (check.rounding > 0.0) text += fmt::format("; matrices by up to {:.1e}", check.rounding);
  print_line("{}", text);
}

void convert_to_gguf(const Options& options, const Model& model) {
  OutputFile file(options.out, options.model);
  std::optional<Encoding> dtype;
  if (const auto values = options.values()) dtype = values->encoding;
  const Model written = save_gguf_of(options.model, model, file.path(), dtype,
                                     [&](const ModelSize&) { return read_manifest(options.model); });
  print_check(verify_saved(written, file.path()));
  file.commit();
}

void convert_to_folder(const Options& options, std::optional<Pattern> pattern, const Model& model) {
  OutputFolder folder(options.out, options.model);
  copy_tokenizer_files(options.model, folder.path());
  save_hf(model, folder.path(), {options.values(), options.format(), pattern, options.max_shard_bytes});
  const std::string manifest = read_manifest(options.model);
  if (!manifest.empty()) write_file(folder.path() / kManifestFile, manifest);
  const SavedCheck check = verify_saved(model, folder.path());
  write_documents(options.model, folder.path(),
                  {.manifest = manifest.empty() ? Json() : parse_json(manifest, kManifestFile),
                   .size = check.size,
                   .format = options.format(),
                   .own_code = needs_own_code(model, options.format())});
  print_check(check);
  folder.commit();
}

void run(const Options& options) {
  const bool gguf = fs::path(options.out).extension() == ".gguf";
  const auto values = options.values();
  const StorageFormat format = options.format();
  if (gguf && format != StorageFormat::kPlain)
    fail(ErrorCode::kUsage, "--to {} needs a Hugging Face folder: a .gguf file is dense", options.to);
  const bool floats = !values || is_float(values->encoding);
  if (gguf && values && !has_gguf_type(values->encoding))
    fail(ErrorCode::kUsage, "--dtype {} needs --to packed: GGUF has no such type", options.dtype);
  const bool quantized = format == StorageFormat::kPackQuantized;
  if (quantized && values && (values->encoding != Encoding::kInt4 || values->zero_points))
    fail(ErrorCode::kUsage, "--to {} takes --dtype int4-g32, int4-g64 or int4-g128, not {}", options.to,
         options.dtype);
  if (!gguf && !floats && format != StorageFormat::kPacked && !quantized)
    fail(ErrorCode::kUsage, "--dtype {} needs --to packed{}", options.dtype,
         has_gguf_type(values->encoding) ? " or a .gguf output" : "");
  if (!options.pattern.empty() && format != StorageFormat::kPacked)
    fail(ErrorCode::kUsage, "--pattern needs --to packed");
  std::optional<Pattern> pattern;
  if (!options.pattern.empty()) pattern = parse_pattern(options.pattern);
  const Model model = load_model(options.model);
  check_finite(model);
  if (gguf)
    convert_to_gguf(options, model);
  else
    convert_to_folder(options, pattern, model);
}

}  // namespace

void add_convert(CLI::App& app) {
  std::vector<std::string> names;
  for (const TypeName& type : kTypes) names.emplace_back(type.name);
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("convert", "Write a model in another format or type, and check it");
  add_model(*command, options->model);
  command
      ->add_option("-o,--output", options->out,
                   "A new .gguf file, or a new Hugging Face folder for any other name")
      ->required();
  add_storage_format(*command, "--to", options->to, true);
  command->add_option("--pattern", options->pattern,
                      "N:M that --to packed stores linears in (default: the smallest that loses nothing)");
  command
      ->add_option(
          "--dtype", options->dtype,
          "Type of the matrices, each value rounded to the nearest (`pare quantize` loses less): f32, f16, "
          "bf16; for a .gguf or --to packed q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, iq4_nl, iq4_xs, "
          "q3_k or q2_k; for --to packed also q4n or q3n, and, of the linears in the layers, int8 (one scale "
          "a row) or int4-g32, int4-g64, int4-g128 (one scale for so many columns, also for --to "
          "pack-quantized; with -z also a zero point) (default: same; where that cannot be, bf16). Norms and "
          "biases keep full precision")
      ->check(one_of(names));
  command
      ->add_option("--shard-size,--max-shard-size", options->max_shard_bytes,
                   "Largest safetensors file, in bytes or with a unit as in 500MB (default 5GB)")
      ->transform(CLI::AsSizeValue(true).description(""))
      ->check(CLI::Range(uint64_t{1}, uint64_t{INT64_MAX}).description(""));
  command->callback([options] { run(*options); });
}

}  // namespace pare
