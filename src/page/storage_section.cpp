#include "page/storage_section.h"

#include <algorithm>
#include <map>

#include "base/quantities.h"
#include "page/colours.h"
#include "page/role_grid.h"

namespace pare {
namespace {

constexpr const char* kRest = "norms, biases";

// Returns the name of a matrix's storage: its format, and the pattern that its zeros follow.
std::string storage_name(const MatrixFacts& m) {
  std::string name = format_name(m.format);
  if (m.possible == m.format.pattern) return name;
  return fmt::format("{} with zeros of {}", name, pattern_name(m.possible));
}

std::string mark_of(size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('A' + index)) : std::to_string(index + 1);
}

// Storage of the layers' matrices by name, with bits a weight, in order of appearance.
struct Formats {
  std::vector<std::string> names;
  std::map<std::string, RoleSize> sizes;

  size_t index(const MatrixFacts& m) {
    const std::string name = storage_name(m);
    RoleSize& size = sizes[name];
    ++size.matrices;
    size.weights += m.weights();
    size.bytes += m.bytes;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }
};

int64_t rest_of(const ModelFacts& facts) {
  int64_t rest = facts.size.bytes;
  for (const RoleSize& role : facts.roles) rest -= role.bytes;
  return rest;
}

BarPart segment_of(const std::string& name, const std::string& colour, int64_t bytes) {
  return {name, colour, static_cast<double>(bytes), format_bytes(bytes)};
}

Bar bar_of(std::string name, const std::vector<RoleSize>& roles, int64_t rest) {
  Bar bar{std::move(name), {}};
  for (const RoleSize& role : roles)
    bar.segments.push_back(segment_of(std::string(role_name(role.role)), role_colour(role.role), role.bytes));
  bar.segments.push_back(segment_of(kRest, "#DDDDDD", rest));
  return bar;
}

std::string percent(int64_t part, int64_t all) {
  if (all <= 0) return "";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(all));
}

void add_bytes_table(Markup& page, const ModelFacts& facts) {
  std::map<Role, int64_t> before;
  for (const RoleSize& role : facts.roles_before) before[role.role] = role.bytes;
  std::vector<std::string> header = {"role", "matrices", "weights", "bytes", "of all", "bits a weight"};
  if (!before.empty()) header.insert(header.end(), {"original's bytes", "of the original"});
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, const RoleSize& size, bool counted,
                       std::optional<int64_t> old) {
    rows.push_back({name, counted ? std::to_string(size.matrices) : "",
                    counted ? format_count(size.weights) : "", format_bytes(size.bytes),
                    percent(size.bytes, facts.size.bytes),
                    counted ? fmt::format("{:.2f}", bits_per_value(size.bytes, size.weights)) : ""});
    if (before.empty()) return;
    rows.back().push_back(old ? format_bytes(*old) : "");
    rows.back().push_back(old ? percent(size.bytes, *old) : "");
  };
  RoleSize all;
  int64_t old_matrices = 0;
  for (const auto& [role, bytes] : before) old_matrices += bytes;
  for (const RoleSize& size : facts.roles) {
    const auto old = before.find(size.role);
    add(std::string(role_name(size.role)), size, true,
        old == before.end() ? std::nullopt : std::optional(old->second));
    all.matrices += size.matrices;
    all.weights += size.weights;
    all.bytes += size.bytes;
  }
  add("all matrices", all, true, old_matrices);
  add(kRest, {.bytes = rest_of(facts)}, false,
      facts.bytes_before ? std::optional(*facts.bytes_before - old_matrices) : std::nullopt);
  add("all", {.bytes = facts.size.bytes}, false, facts.bytes_before);
  add_table(page, header, rows);
}

void add_layer_columns(Markup& page, const ModelFacts& facts) {
  constexpr double kMegabyte = 1e6;
  std::vector<Bar> layers;
  for (size_t i = 0; i < facts.config.blocks.size(); ++i) layers.push_back({fmt::format("layer {}", i), {}});
  std::vector<Key> keys;
  for (const Role role : layer_roles(facts))
    keys.push_back({role_colour(role), std::string(role_name(role))});
  for (const MatrixFacts& m : facts.matrices)
    if (m.block >= 0)
      layers[static_cast<size_t>(m.block)].segments.push_back(
          segment_of(std::string(role_name(m.role)), role_colour(m.role), m.bytes));
  if (layers.empty()) return;
  add_columns(page,
              {"Bytes of each layer, by role",
               "A column for each layer, stacked from the roles in the order of the key below."},
              layers, "MB", kMegabyte);
  add_keys(page, keys);
  std::vector<std::string> header = {"layer"};
  for (const Key& key : keys) header.push_back(key.name);
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < layers.size(); ++i) {
    rows.push_back({std::to_string(i)});
    for (const Key& key : keys) {
      const auto found = std::find_if(layers[i].segments.begin(), layers[i].segments.end(),
                                      [&](const BarPart& segment) { return segment.name == key.name; });
      rows.back().push_back(found == layers[i].segments.end() ? "" : found->value);
    }
  }
  add_folded_table(page, header, rows);
}

}  // namespace

void add_formats(Markup& page, const ModelFacts& facts) {
  page.element("h3", "Formats and patterns");
  const std::vector<Role> roles = layer_roles(facts);
  std::vector<HeatRow> rows = empty_rows(roles, facts);
  Formats formats;
  for (const MatrixFacts& m : facts.matrices) {
    if (m.block < 0) continue;
    const size_t index = formats.index(m);
    const auto row = static_cast<size_t>(std::find(roles.begin(), roles.end(), m.role) - roles.begin());
    rows[row].cells[static_cast<size_t>(m.block)] =
        HeatCell{category_colour(index), mark_of(index),
                 fmt::format("{}, {} × {}, {:.2f} bits a weight", formats.names[index], m.rows, m.cols,
                             bits_per_value(m.bytes, m.weights()))};
  }
  if (!rows.empty()) {
    add_heat(page,
             {"Formats of the layers' matrices",
              "A map of layers (across) and roles (down): a letter and a colour for each format, as the key "
              "below says."},
             rows);
    std::vector<Key> keys;
    for (size_t i = 0; i < formats.names.size(); ++i) {
      const RoleSize& size = formats.sizes.at(formats.names[i]);
      keys.push_back({category_colour(i),
                      fmt::format("{}: {}, {} matrices, {:.2f} bits a weight", mark_of(i), formats.names[i],
                                  size.matrices, bits_per_value(size.bytes, size.weights))});
    }
    add_keys(page, keys);
  }
  for (const MatrixFacts& m : facts.matrices)
    if (m.block < 0)
      page.element("p", fmt::format("{}: {}, {} × {}, {:.2f} bits a weight.", role_name(m.role),
                                    storage_name(m), m.rows, m.cols, bits_per_value(m.bytes, m.weights())));
  if (facts.config.tied) page.element("p", "The head is the embedding: it takes no bytes of its own.");
}

void add_bytes(Markup& page, const ModelFacts& facts) {
  page.element("h3", "Where the bytes are");
  std::vector<Bar> bars = {
      bar_of(fmt::format("{}: {}", facts.name, format_bytes(facts.size.bytes)), facts.roles, rest_of(facts))};
  if (facts.bytes_before) {
    int64_t rest = *facts.bytes_before;
    for (const RoleSize& role : facts.roles_before) rest -= role.bytes;
    const std::string name = fmt::format("the original: {}", format_bytes(*facts.bytes_before));
    if (facts.roles_before.empty())
      bars.push_back({name, {segment_of("not known by role", "#BBBBBB", rest)}});
    else
      bars.push_back(bar_of(name, facts.roles_before, rest));
  }
  add_bars(page,
           {"Bytes by role",
            "A bar of the model's bytes, stacked from the roles in the order of the table below"
            " and, where it is known, a bar of the original's."},
           bars);
  add_bytes_table(page, facts);
  add_layer_columns(page, facts);
}

}  // namespace pare
