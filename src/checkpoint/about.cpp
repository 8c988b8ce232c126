#include "checkpoint/about.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/front_matter.h"
#include "checkpoint/load.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxCardBytes = 16 << 20;
constexpr const char* kCard = "README.md";
constexpr std::string_view kHub = "https://huggingface.co/";
constexpr uint32_t kMaxBaseModels = 64;

// Keys of metadata that describe the file they stand in.
constexpr std::string_view kOfTheFile[] = {"general.architecture", "general.alignment", "general.file_type",
                                           "general.quantization_version"};

// Makes an id of the hub, "name" or "owner/name", of any text: of a path its last part; characters that an id
// cannot hold become '-'.
std::string hub_id(std::string text) {
  if (text.starts_with('/') || text.starts_with('.') || std::count(text.begin(), text.end(), '/') > 1)
    text = text.substr(text.find_last_of('/', text.size() - 2) + 1);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (std::isalnum(byte) == 0 && std::string_view("-_./").find(c) == std::string::npos))
      c = '-';
  }
  const size_t begin = text.find_first_not_of("-./");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of("-./") + 1 - begin);
}

// Returns the name of a path's last part; for a snapshot in the hub's cache
// (models--OWNER--NAME/snapshots/HASH) that of the repository, which `repository` then holds as an id.
std::string name_of(const fs::path& model_path, std::string& repository) {
  fs::path path = fs::absolute(model_path).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  constexpr std::string_view kCached = "models--";
  const std::string folder = path.parent_path().parent_path().filename().string();
  if (path.parent_path().filename() == "snapshots" && folder.starts_with(kCached)) {
    const std::string id = folder.substr(kCached.size());
    const size_t hole = id.find("--");
    repository =
        hole == std::string::npos ? id : fmt::format("{}/{}", id.substr(0, hole), id.substr(hole + 2));
    return repository.substr(repository.find('/') + 1);
  }
  return is_gguf_path(path) ? path.stem().string() : path.filename().string();
}

std::string text_of(const GgufMetadata& metadata, const std::string& key) {
  const std::string* text = metadata.find_string("general." + key);
  return text == nullptr ? std::string() : *text;
}

std::vector<std::string> texts_of(const GgufMetadata& metadata, const std::string& key) {
  const GgufValue* value = metadata.find("general." + key);
  if (value == nullptr) return {};
  if (const auto* text = std::get_if<std::string>(value)) return {*text};
  const auto* array = std::get_if<GgufArray>(value);
  const auto* texts = array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&array->values);
  return texts == nullptr ? std::vector<std::string>() : *texts;
}

// Returns the address on the hub that "general.`prefix`*" gives, as an id.
std::string hub_repository(const GgufMetadata& metadata, const std::string& prefix) {
  for (const char* key : {"repo_url", "url"})
    if (const std::string url = text_of(metadata, prefix + key); url.starts_with(kHub))
      return hub_id(url.substr(kHub.size()));
  return {};
}

// Texts that go from GGUF's general.KEY to a card's model_KEY and back, names that llama.cpp's converter has
// too.
struct PlainText {
  const char* key;
  std::string ModelAbout::*text;
};
constexpr PlainText kPlainTexts[] = {
    {"author", &ModelAbout::author},         {"organization", &ModelAbout::organization},
    {"version", &ModelAbout::version},       {"description", &ModelAbout::description},
    {"finetune", &ModelAbout::finetune},     {"basename", &ModelAbout::basename},
    {"size_label", &ModelAbout::size_label},
};

ModelAbout about_gguf(const GgufMetadata& metadata, const std::string& file_name) {
  ModelAbout about;
  about.name = text_of(metadata, "name");
  if (about.name.empty()) about.name = file_name;
  for (const PlainText& plain : kPlainTexts) about.*plain.text = text_of(metadata, plain.key);
  about.license = text_of(metadata, "license");
  about.license_name = text_of(metadata, "license.name");
  about.license_link = text_of(metadata, "license.link");
  about.languages = texts_of(metadata, "languages");
  about.datasets = texts_of(metadata, "datasets");
  about.tags = texts_of(metadata, "tags");
  const GgufValue* count = metadata.find("general.base_model.count");
  const auto* models = count == nullptr ? nullptr : std::get_if<uint32_t>(count);
  for (uint32_t i = 0; models != nullptr && i < std::min(*models, kMaxBaseModels); ++i) {
    const std::string prefix = fmt::format("base_model.{}.", i);
    std::string id = hub_repository(metadata, prefix);
    if (id.empty()) id = hub_id(text_of(metadata, prefix + "name"));
    if (!id.empty()) about.base_models.push_back(std::move(id));
  }
  about.repository = hub_repository(metadata, "source.");
  if (about.repository.empty()) about.repository = hub_repository(metadata, "");
  return about;
}

FrontMatter card_of(const fs::path& folder) {
  const fs::path card = folder / kCard;
  if (!fs::is_regular_file(card)) return {};
  try {
    return read_front_matter(read_file(card, kMaxCardBytes), card.string());
  } catch (const Error& error) {
    log_warning("{}; nothing of it is carried on", error.what());
    return {};
  }
}

ModelAbout about_folder(const fs::path& folder, const std::string& folder_name) {
  const FrontMatter card = card_of(folder);
  const auto all = [&](const char* key) {
    const auto it = card.find(key);
    return it == card.end() ? std::vector<std::string>() : it->second;
  };
  const auto one = [&](const char* key) {
    const auto values = all(key);
    return values.empty() ? std::string() : values.front();
  };
  ModelAbout about;
  about.name = one("model_name");
  if (about.name.empty()) about.name = folder_name;
  for (const PlainText& plain : kPlainTexts)
    about.*plain.text = one((std::string("model_") + plain.key).c_str());
  about.license = one("license");
  about.license_name = one("license_name");
  about.license_link = one("license_link");
  about.pipeline_tag = one("pipeline_tag");
  about.languages = all("language");
  about.datasets = all("datasets");
  about.tags = all("tags");
  for (const std::string& model : all("base_model"))
    if (std::string id = hub_id(model); !id.empty()) about.base_models.push_back(std::move(id));
  return about;
}

void add_text(std::vector<GgufEntry>& entries, const char* key, const std::string& text) {
  if (!text.empty()) entries.push_back({std::string("general.") + key, text});
}

void add_texts(std::vector<GgufEntry>& entries, const char* key, const std::vector<std::string>& texts) {
  if (!texts.empty()) entries.push_back({std::string("general.") + key, GgufArray{texts}});
}

}  // namespace

ModelAbout read_about(const fs::path& model_path) {
  std::string repository;
  const std::string name = name_of(model_path, repository);
  ModelAbout about = is_gguf_path(model_path) ? about_gguf(read_gguf(model_path).metadata, name)
                                              : about_folder(model_path, name);
  if (!repository.empty()) about.repository = hub_id(repository);
  return about;
}

std::vector<std::pair<std::string, std::string>> card_texts(const ModelAbout& about) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const PlainText& plain : kPlainTexts)
    if (const std::string& text = about.*plain.text; !text.empty())
      texts.emplace_back(std::string("model_") + plain.key, text);
  return texts;
}

std::vector<std::string> origins_of(const ModelAbout& about) {
  if (!about.repository.empty()) return {about.repository};
  if (!about.base_models.empty()) return about.base_models;
  // The author and the name for people do not make the id of a repository.
  if (std::string name = hub_id(about.name); !name.empty()) return {std::move(name)};
  return {};
}

std::vector<GgufEntry> general_entries(const fs::path& model_path) {
  std::vector<GgufEntry> entries;
  if (is_gguf_path(model_path)) {
    const GgufFile file = read_gguf(model_path);
    for (const GgufEntry& entry : file.metadata.entries())
      if (entry.key.starts_with("general.") &&
          std::find(std::begin(kOfTheFile), std::end(kOfTheFile), entry.key) == std::end(kOfTheFile))
        entries.push_back(entry);
    return entries;
  }
  ModelAbout about = read_about(model_path);
  add_text(entries, "type", "model");
  add_text(entries, "name", about.name);
  for (const PlainText& plain : kPlainTexts) add_text(entries, plain.key, about.*plain.text);
  if (!about.repository.empty()) add_text(entries, "repo_url", std::string(kHub) + about.repository);
  add_text(entries, "license", about.license);
  add_text(entries, "license.name", about.license_name);
  add_text(entries, "license.link", about.license_link);
  // A card that came of a mere conversion names the model itself.
  const std::string own = hub_id(about.name);
  const std::string owned = hub_id(about.organization) + "/" + own;
  std::erase_if(about.base_models, [&](const std::string& id) { return id == own || id == owned; });
  const auto count = static_cast<uint32_t>(std::min<size_t>(about.base_models.size(), kMaxBaseModels));
  if (count > 0) entries.push_back({"general.base_model.count", count});
  for (uint32_t i = 0; i < count; ++i) {
    const std::string& id = about.base_models[i];
    const size_t slash = id.find('/');
    const std::string key = fmt::format("base_model.{}.", i);
    add_text(entries, (key + "name").c_str(), id.substr(slash == std::string::npos ? 0 : slash + 1));
    if (slash == std::string::npos) continue;
    add_text(entries, (key + "organization").c_str(), id.substr(0, slash));
    add_text(entries, (key + "repo_url").c_str(), std::string(kHub) + id);
  }
  add_texts(entries, "tags", about.tags);
  add_texts(entries, "languages", about.languages);
  return entries;
}

}  // namespace pare
