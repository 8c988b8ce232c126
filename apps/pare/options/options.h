// Options and texts that several subcommands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/stored_weight.h"
#include "kernels/linear.h"
#include "text/files/documents.h"

namespace pare {

// CLI11 clamps what does not fit an integer: a range below the type's own turns that into an error.
inline constexpr int64_t kMaxOption = int64_t{1} << 32;
inline constexpr int64_t kMaxContext = 1 << 24;  // largest --context

// Accepts a word out of `names`. The error names all of them: "fp16 is not one of f32, bf16".
CLI::Validator one_of(const std::vector<std::string>& names);

// Does one_of for an option whose value is an enumerator.
template <typename T>
CLI::Validator one_of(const std::map<std::string, T>& values) {
  std::vector<std::string> names;
  for (const auto& entry : values) names.push_back(entry.first);
  const CLI::Validator known = one_of(names);
  return CLI::Validator(
      [values, known](std::string& word) {
        std::string error = known(word);
        if (error.empty()) word = std::to_string(static_cast<int>(values.at(word)));
        return error;
      },
      "");
}

// Splits the values of a list option, each a list separated by commas. Throws CLI::ValidationError
// naming the option where one is empty, or is not `known`.
std::vector<std::string> list_items(const std::string& option, const std::vector<std::string>& values,
                                    const CLI::Validator& known);

// Adds an option whose value is a list separated by commas (may be given repeatedly); `known` checks each.
template <typename T>
CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<T>& list,
                      const std::string& help, const CLI::Validator& known = {}) {
  const auto take = [name, known, &list](const std::vector<std::string>& values) {
    const std::vector<std::string> items = list_items(name, values, known);
    list.assign(items.size(), {});
    for (size_t i = 0; i < items.size(); ++i)
      if (!CLI::detail::lexical_cast(items[i], list[i]))
        throw CLI::ConversionError(name, std::vector<std::string>{items[i]});
  };
  return command.add_option_function<std::vector<std::string>>(name, take, help)
      ->type_name(CLI::detail::type_name<T>())
      ->allow_extra_args(false);
}

// Add MODEL, or MODEL MODEL2 …, as positional arguments.
void add_model(CLI::App& command, std::string& path);
void add_models(CLI::App& command, std::vector<std::string>& paths, const std::string& first_is);

// Adds --dtype f32|bf16: the type of products. `compute` holds the default.
void add_compute(CLI::App& command, ComputeType& compute);

// Adds `flag` dense|packed|sparse-24-bitmask: the storage of linears in a folder. `converts`: of a finished
// model, also pack-quantized.
void add_storage_format(CLI::App& command, const std::string& flag, std::string& name, bool converts);
StorageFormat storage_format(const std::string& name);

void add_json(CLI::App& command, bool& json);

// Returns the whole text of a file, or of standard input for "-", as it stands. Throws kNotFound, kIo, and
// kFormat when it is 2 GiB or longer.
std::string read_text(const std::string& path);
// Reads the documents of a text file, or of the standard input for "-" (parse_documents, text_of_bytes).
Documents read_documents_of(const std::string& path);

}  // namespace pare
