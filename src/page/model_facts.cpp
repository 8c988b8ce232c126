#include "page/model_facts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/quantities.h"
#include "base/words.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

std::optional<Role> find_role(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Role::kHead); ++i)
    if (const auto role = static_cast<Role>(i); role_name(role) == name) return role;
  return std::nullopt;
}

// Takes "layers.3.down" or "head" apart.
template <typename Entry>
void place(const std::string& name, int64_t layers, Entry& entry) {
  entry.name = name;
  const std::vector<std::string> parts = split(name, '.');
  if (parts.size() == 1) entry.role = find_role(name);
  if (parts.size() != 3 || parts[0] != "layers") return;
  int64_t block = -1;
  const char* end = parts[1].data() + parts[1].size();
  const auto [stop, error] = std::from_chars(parts[1].data(), end, block);
  if (error != std::errc() || stop != end || block < 0 || block >= layers) return;
  entry.block = block;
  entry.role = find_role(parts[2]);
}

const Json& list_of(const Json& manifest, const char* key, const std::string& what) {
  const Json& list = manifest_member(manifest, key);
  if (!list.is_null() && !list.is_array()) fail(ErrorCode::kFormat, "{}: \"{}\" is no list", what, key);
  return list;
}

double finite(const Json& value, const std::string& what) {
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!std::isfinite(number)) fail(ErrorCode::kFormat, "{} is {}, expected a number", what, value.dump());
  return number;
}

// Returns what is said of a matrix for which a budget has chosen a format.
std::string note_of(const Json& json, const std::string& where) {
  return fmt::format("{}, {}, nats: ", json_get<std::string>(json, "format", where),
                     format_bytes(json_get<int64_t>(json, "bytes", where)));
}

// Reads each list of pare.json whose entries have errors or costs.
void read_errors(const Json& manifest, const std::string& what, ModelFacts& facts) {
  constexpr std::pair<const char*, const char*> kLists[] = {{"errors", "relative_error"},
                                                            {"sparsity", "relative_error"},
                                                            {"formats", "predicted_kl"},
                                                            {"quantization", "relative_error"}};
  for (const auto& [kind, member] : kLists) {
    const bool formats = std::string_view(kind) == "formats";
    ErrorList list{kind, {}};
    for (const Json& json : list_of(manifest, kind, what)) {
      if (formats && !json.contains(member)) continue;  // the budget was no limit
      PlacedError entry;
      const std::string where = fmt::format("{}: an entry of \"{}\"", what, kind);
      place(json_get<std::string>(json, "name", where), static_cast<int64_t>(facts.config.blocks.size()),
            entry);
      entry.amount =
          finite(manifest_member(json, member), fmt::format("{}: \"{}\" of {}", what, member, entry.name));
      if (formats) entry.note = note_of(json, where);
      list.entries.push_back(std::move(entry));
    }
    if (!list.entries.empty()) facts.errors.push_back(std::move(list));
  }
}

void read_spectra(const Json& manifest, const std::string& what, ModelFacts& facts) {
  for (const Json& json : list_of(manifest, "spectra", what)) {
    StreamSpectrum entry;
    const std::string where = what + ": an entry of \"spectra\"";
    place(json_get<std::string>(json, "name", where), static_cast<int64_t>(facts.config.blocks.size()),
          entry);
    entry.width_before = json_get<int64_t>(json, "width_before", where);
    entry.width_after = json_get<int64_t>(json, "width_after", where);
    if (entry.width_after < 0 || entry.width_before < entry.width_after)
      fail(ErrorCode::kFormat, "{}: the widths of {} are {} and {}", what, entry.name, entry.width_before,
           entry.width_after);
    for (const Json& energy : list_of(json, "energies", where))
      entry.energies.push_back(finite(energy, fmt::format("{}: an energy of {}", what, entry.name)));
    facts.spectra.push_back(std::move(entry));
  }
}

void read_before(const Json& manifest, const std::string& what, ModelFacts& facts) {
  const Json& before = manifest_member(manifest, "before");
  if (before.is_null()) return;
  facts.bytes_before = json_get<int64_t>(before, "bytes", what + ": \"before\"");
  facts.parameters_before = json_get<int64_t>(before, "parameters", what + ": \"before\"");
  const Json& roles = manifest_member(before, "bytes_by_role");
  if (!roles.is_object()) return;  // earlier versions did not keep it
  for (const auto& [name, value] : roles.items()) {
    const auto role = find_role(name);
    if (!role) fail(ErrorCode::kFormat, "{}: no role {} (\"bytes_by_role\")", what, name);
    RoleSize size;
    size.role = *role;
    size.bytes = json_get<int64_t>(roles, name, what + ": \"bytes_by_role\"");
    facts.roles_before.push_back(size);
  }
}

void read_manifest_facts(const Json& manifest, const std::string& what, ModelFacts& facts) {
  if (!manifest.is_object()) fail(ErrorCode::kFormat, "{} is no object", what);
  const Json& recipe = manifest_member(manifest, "recipe");
  if (!recipe.is_object()) fail(ErrorCode::kFormat, "{}: key \"recipe\" is missing", what);
  facts.passes = manifest_passes(manifest);
  if (const Json& calibration = manifest_member(recipe, "calibration"); calibration.is_object())
    for (const auto& [key, value] : calibration.items())
      facts.calibration.emplace_back(key, manifest_value(value));
  if (const Json& seed = manifest_member(recipe, "seed"); !seed.is_null()) facts.seed = manifest_value(seed);
  read_before(manifest, what, facts);
  read_errors(manifest, what, facts);
  read_spectra(manifest, what, facts);
  for (const Json& fallback : list_of(manifest, "fallbacks", what))
    facts.fallbacks.push_back(manifest_value(fallback));
}

// Returns the last `count` parts of a path.
std::string tail(const fs::path& path, size_t count) {
  std::vector<std::string> parts;
  for (const fs::path& part : path)
    if (part.has_filename()) parts.push_back(part.string());
  fs::path joined;
  for (size_t i = parts.size() - std::min(parts.size(), count); i < parts.size(); ++i) joined /= parts[i];
  return joined.string();
}

}  // namespace

ModelFacts read_model_facts(const std::string& path) {
  const Model model = load_model(path);
  ModelFacts facts;
  facts.path = path;
  facts.config = model.config;
  facts.size = model_size(model);
  facts.matrices = matrix_facts(model);
  facts.roles = role_sizes(model);
  const std::string manifest = read_manifest(path);
  if (manifest.empty()) return facts;
  const std::string what = is_gguf_path(path) ? fmt::format("{} of {}", kManifestKey, path)
                                              : (fs::path(path) / kManifestFile).string();
  facts.has_manifest = true;
  read_manifest_facts(parse_json(manifest, what), what, facts);
  return facts;
}

std::vector<std::string> short_names(const std::vector<std::string>& paths) {
  std::vector<fs::path> whole;
  size_t longest = 1;
  for (const std::string& path : paths) {
    whole.push_back(fs::absolute(path).lexically_normal());
    longest = std::max(longest, static_cast<size_t>(std::distance(whole.back().begin(), whole.back().end())));
  }
  std::vector<std::string> names;
  for (const fs::path& path : whole) {
    size_t count = 1;
    const auto same = [&](const fs::path& other) { return tail(other, count) == tail(path, count); };
    while (count < longest && std::count_if(whole.begin(), whole.end(), same) > 1) ++count;
    names.push_back(tail(path, count));
  }
  return names;
}

}  // namespace pare
