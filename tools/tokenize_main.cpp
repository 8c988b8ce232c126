// pare_tokenize MODEL FILE [--template] [--no-special] [--nul] [--time] [--words]: the ids of a file's bytes
// on one line; with --nul, of each of the texts that NUL bytes part; with --words, how many bytes each word
// of such a text has, cut by the general engine. MODEL: a folder, a .gguf file, or a tokenizer.json. A test
// tool for tools/compare/compare_tokenizer.py.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "text/tokenizer/known_splits.h"
#include "text/tokenizer/splitter.h"

namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

void report_speed(const pare::Tokenizer& tokenizer, const std::string& text,
                  const pare::EncodeOptions& options) {
  for (int pass = 0; pass < 5; ++pass) {
    const std::clock_t start = std::clock();
    const size_t count = tokenizer.encode(text, options).size();
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::fprintf(stderr, "pass %d: %zu tokens, %.1f MB a CPU second\n", pass, count,
                 static_cast<double>(text.size()) / 1e6 / seconds);
  }
}

void print_ids(const std::vector<int32_t>& ids) {
  for (const int32_t id : ids) std::printf("%d ", id);
  std::printf("\n");
}

void print_words(const pare::TokenizerSpec& spec, const pare::Splitter& splitter, std::string text) {
  if (spec.prefix_space == pare::PrefixSpace::kAlways && !text.empty() && text.front() != ' ')
    text.insert(text.begin(), ' ');
  for (const std::string_view word : splitter.split(text)) std::printf("%zu ", word.size());
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  pare::EncodeOptions options;
  bool time = false;
  bool nul = false;
  bool json = false;
  bool words = false;
  std::vector<const char*> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--template") == 0)
      options.add_special_tokens = true;
    else if (std::strcmp(argv[i], "--no-special") == 0)
      options.parse_special = false;
    else if (std::strcmp(argv[i], "--nul") == 0)
      nul = true;
    else if (std::strcmp(argv[i], "--time") == 0)
      time = true;
    else if (std::strcmp(argv[i], "--json") == 0)
      json = true;
    else if (std::strcmp(argv[i], "--words") == 0)
      nul = words = true;
    else
      paths.push_back(argv[i]);
  }
  if (paths.size() != (json ? 1u : 2u)) {
    std::fprintf(stderr,
                 "usage: pare_tokenize MODEL FILE [--template] [--no-special] [--nul] [--time] [--words]\n"
                 "       pare_tokenize MODEL --json\n");
    return 2;
  }
  try {
    const bool is_json = std::string_view(paths[0]).ends_with(".json");
    const auto tokenizer = is_json ? pare::Tokenizer::from_json(pare::read_file(paths[0], kMaxBytes))
                                   : pare::load_tokenizer(paths[0]);
    if (json) {
      std::fputs(pare::tokenizer_json(tokenizer.spec()).c_str(), stdout);
      return 0;
    }
    const std::string text = pare::read_file(paths[1], kMaxBytes);
    if (time) report_speed(tokenizer, text, options);
    const pare::Splitter splitter(words ? pare::splits_of(tokenizer.spec()) : std::vector<pare::SplitStep>());
    for (size_t pos = 0; pos <= text.size();) {
      const size_t end = nul ? std::min(text.find('\0', pos), text.size()) : text.size();
      if (words)
        print_words(tokenizer.spec(), splitter, text.substr(pos, end - pos));
      else
        print_ids(tokenizer.encode(std::string_view(text).substr(pos, end - pos), options));
      pos = end + 1;
    }
  } catch (const pare::Error& error) {
    std::fprintf(stderr, "pare_tokenize: %s\n", error.what());
    return 1;
  }
  return 0;
}
