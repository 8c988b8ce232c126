#include "text/tokenizer/tokenizer_folder.h"

#include <algorithm>

#include "base/mapped_file.h"
#include "base/placeholder.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/tokenizer_config.h"
#include "text/tokenizer/tokenizer_json_reader.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxBytes = 256 << 20;

// Calls that throw an Error get the file's path put before the message, in the place of its name.
template <typename Read>
auto naming(const fs::path& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    std::string message = error.what();
    if (message.starts_with(path.string())) throw;
    // The reader names the file as it is called in any folder.
    if (const std::string own = path.filename().string() + ": "; message.starts_with(own))
      message.erase(0, own.size());
    fail(error.code(), "{}: {}", path.string(), message);
  }
}

TokenizerSpec spec_from_json(const fs::path& path, const TokenizerConfig& config) {
  TokenizerSpec spec = tokenizer_spec_from_json(read_file(path, kMaxBytes));
  if (config.add_bos_token || config.add_eos_token) set_template(config, {}, spec);
  return spec;
}

TokenizerSpec spec_from_sentencepiece(const fs::path& path, TokenizerConfig config) {
  const std::string bytes = read_file(path, kMaxBytes);
  reject_html(bytes, path.string());
  const SentencePieceModel model = parse_sentencepiece_model(bytes);
  TokenizerSpec spec = sentencepiece_spec(model.vocab);
  if (!config.legacy.value_or(true)) {
    // A space is put before the text only, not behind special tokens.
    spec.normalizer.clear();
    spec.pre_tokenizer = PreTokenizer::kMetaspace;
    if (model.vocab.add_dummy_prefix && config.add_prefix_space.value_or(true))
      spec.prefix_space = PrefixSpace::kFirst;
  }
  add_config_tokens(config, spec);
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0) config.named.try_emplace(key, model.vocab.pieces[static_cast<size_t>(id)].text);
  };
  name("bos_token", model.bos);
  name("eos_token", model.eos);
  set_template(config, {.bos = true, .eos = false}, spec);
  return spec;
}

// "left right" a line, behind a line "#version: …".
void read_merges(std::string_view text, TokenizerSpec& spec) {
  bool is_first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool is_version = is_first && line.starts_with("#version");
    is_first = false;
    if (line.empty() || is_version) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      fail(ErrorCode::kFormat, "merges.txt: \"{}\" is not two tokens and a space", line.substr(0, 80));
    spec.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
}

TokenizerSpec spec_from_vocab_and_merges(const fs::path& folder, const TokenizerConfig& config) {
  TokenizerSpec spec;
  read_vocab_json(parse_json(read_file(folder / "vocab.json", kMaxBytes), "vocab.json"), "vocab.json", spec);
  read_merges(read_file(folder / "merges.txt", kMaxBytes), spec);
  if (config.tokenizer_class.starts_with("Qwen2")) {
    spec.pre_tokenizer = PreTokenizer::kQwen2;
    spec.normalizer.push_back({});
  } else if (config.add_prefix_space.value_or(false)) {
    spec.prefix_space = PrefixSpace::kAlways;
  }
  add_config_tokens(config, spec);
  set_template(config, {}, spec);
  return spec;
}

}  // namespace

Tokenizer tokenizer_from_folder(const fs::path& folder) {
  const TokenizerConfig config = read_tokenizer_config(folder);
  const auto load = [](const fs::path& path, auto read) {
    return naming(path, [&] { return Tokenizer(read()); });
  };
  if (const auto path = folder / "tokenizer.json"; fs::exists(path))
    return load(path, [&] { return spec_from_json(path, config); });
  if (const auto path = folder / "tokenizer.model"; fs::exists(path))
    return load(path, [&] { return spec_from_sentencepiece(path, config); });
  if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt"))
    return load(folder, [&] { return spec_from_vocab_and_merges(folder, config); });
  fail(ErrorCode::kNotFound,
       "{} has no tokenizer: no tokenizer.json, tokenizer.model, or vocab.json and merges.txt",
       folder.string());
}

}  // namespace pare
