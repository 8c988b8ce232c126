#include "options/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/mapped_file.h"
#include "base/words.h"
#include "text/files/text_file.h"

namespace pare {
namespace {

std::string read_stdin() {
  std::string text;
  char block[1 << 16];
  while (const size_t n = std::fread(block, 1, sizeof(block), stdin)) {
    text.append(block, n);
    if (text.size() > kMaxTextBytes) fail(ErrorCode::kFormat, "the standard input is longer than 2 GiB");
  }
  if (std::ferror(stdin)) fail(ErrorCode::kIo, "cannot read the standard input");
  return text;
}

}  // namespace

CLI::Validator one_of(const std::vector<std::string>& names) {
  return CLI::Validator(
      [names](const std::string& word) {
        if (std::find(names.begin(), names.end(), word) != names.end()) return std::string();
        return fmt::format("{} is not one of {}", word, fmt::join(names, ", "));
      },
      "");
}

std::vector<std::string> list_items(const std::string& option, const std::vector<std::string>& values,
                                    const CLI::Validator& known) {
  std::vector<std::string> items;
  for (const std::string& value : values)
    for (std::string& item : split(value, ',')) {
      if (item.empty()) throw CLI::ValidationError(option, fmt::format("an empty item in '{}'", value));
      if (const std::string error = known(item); !error.empty()) throw CLI::ValidationError(option, error);
      items.push_back(std::move(item));
    }
  return items;
}

void add_model(CLI::App& command, std::string& path) {
  command.add_option("MODEL", path, "Hugging Face model folder, or a .gguf file")->required();
}

void add_models(CLI::App& command, std::vector<std::string>& paths, const std::string& first_is) {
  command.add_option("MODEL", paths, "Models: Hugging Face folders or .gguf files; the first is " + first_is)
      ->required();
}

void add_compute(CLI::App& command, ComputeType& compute) {
  static const std::map<std::string, ComputeType> kTypes = {{"f32", ComputeType::kF32},
                                                            {"bf16", ComputeType::kBF16},
                                                            {"int8", ComputeType::kInt8},
                                                            {"stored", ComputeType::kStored}};
  command
      .add_option(
          "--dtype", compute,
          fmt::format(
              "What products are made of: stored (weights of 2 to 8 bits as the file has them, others in "
              "bf16), f32, bf16, or int8 weights with bf16 activations (default {})",
              compute_type_name(compute)))
      ->transform(one_of(kTypes));
}

namespace {
constexpr StorageFormat kFormats[] = {StorageFormat::kPlain, StorageFormat::kPacked,
                                      StorageFormat::kSparse24Bitmask, StorageFormat::kPackQuantized};
}  // namespace

void add_storage_format(CLI::App& command, const std::string& flag, std::string& name, bool converts) {
  std::vector<std::string> formats;
  for (const StorageFormat format : kFormats)
    if (converts || format != StorageFormat::kPackQuantized)
      formats.emplace_back(storage_format_name(format));
  std::string help =
      "How a folder stores N:M sparse linears: dense (any program loads it; default), packed (kept "
      "values and a mask; for pare, and for transformers with trust_remote_code), sparse-24-bitmask "
      "(2:4, of compressed-tensors, which reads it in versions 0.9 to 0.14 only)";
  if (converts)
    help +=
        "; or all linears of the layers in 4 bits: pack-quantized (--dtype int4-g32, int4-g64 or int4-g128; "
        "of compressed-tensors, with which transformers loads it)";
  command.add_option(flag, name, help)->check(one_of(formats));
}

StorageFormat storage_format(const std::string& name) {
  for (const StorageFormat format : kFormats)
    if (storage_format_name(format) == name) return format;
  fail(ErrorCode::kInternal, "no format {}", name);
}

void add_json(CLI::App& command, bool& json) { command.add_flag("--json", json, "Print JSON, for machines"); }

std::string read_text(const std::string& path) {
  return path == "-" ? read_stdin() : read_file(path, kMaxTextBytes);
}

Documents read_documents_of(const std::string& path) {
  if (path != "-") return read_documents(path);
  constexpr std::string_view kName = "the standard input";
  return parse_documents(text_of_bytes(read_stdin(), kName), kName);
}

}  // namespace pare
