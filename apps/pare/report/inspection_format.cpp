#include <algorithm>
#include <map>

#include "base/quantities.h"
#include "report/inspection.h"
#include "report/table.h"

namespace pare {
namespace {

constexpr std::string_view kScalingNames[] = {"none",    "linear", "llama3",  "divisors",
                                              "dynamic", "yarn",   "longrope"};

std::string_view scaling_name(RopeScaling scaling) { return kScalingNames[static_cast<size_t>(scaling)]; }

double share(int64_t part, int64_t all) {
  return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
}

std::string range_name(const BlockRange& range) {
  return range.first == range.last ? fmt::format("{}", range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

Json rope_json(const ModelConfig& config) {
  if (config.rotary_dim == 0) return nullptr;
  const RopeConfig& rope = config.rope;
  Json json = {
      {"theta", rope.theta}, {"scaling", scaling_name(rope.scaling)}, {"rotary_dim", config.rotary_dim}};
  if (rope.scaling != RopeScaling::kNone) json["factor"] = rope.factor;
  return json;
}

std::string describe_positions(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  if (config.learned_positions) return "learned positions";
  if (config.rotary_dim == 0) return "no positions";
  std::string text = fmt::format("rope theta {:g}", rope.theta);
  if (config.rotary_dim != config.head_dim)
    text += fmt::format(" of {} of {} values", config.rotary_dim, config.head_dim);
  if (rope.scaling != RopeScaling::kNone)
    text += rope.scaling == RopeScaling::kDivisors
                ? fmt::format(", {} divisors of its own", rope.divisors.size())
                : fmt::format(", {} scaling by {:g}", scaling_name(rope.scaling), rope.factor);
  return text;
}

std::string_view norm_name(NormKind kind) { return kind == NormKind::kLayer ? "layer" : "RMS"; }

std::string_view activation_name(ActivationFunction activation) {
  constexpr std::string_view kNames[] = {"silu", "relu", "gelu", "gelu_new"};
  return kNames[static_cast<size_t>(activation)];
}

Json design_json(const BlockDesign& design) {
  constexpr std::string_view kPlaces[] = {"input", "branch", "sum"};
  constexpr std::string_view kHeads[] = {"none", "head", "whole"};
  return {{"norm", norm_name(design.norm)},
          {"norm_place", kPlaces[static_cast<size_t>(design.norm_place)]},
          {"query_key_norm", kHeads[static_cast<size_t>(design.query_key_norm)]},
          {"activation", activation_name(design.activation)},
          {"gated", design.gated},
          {"parallel", design.parallel}};
}

std::string describe_design(const BlockDesign& design) {
  constexpr std::string_view kPlaces[] = {"", " behind the branches", " behind the sums"};
  constexpr std::string_view kHeads[] = {"", ", norms of each head's queries and keys",
                                         ", norms of all queries and keys"};
  return fmt::format("{}, {} norms{}{}, {} {} a gate",
                     design.parallel ? "attention and MLP in parallel" : "attention, then MLP",
                     norm_name(design.norm), kPlaces[static_cast<size_t>(design.norm_place)],
                     kHeads[static_cast<size_t>(design.query_key_norm)], activation_name(design.activation),
                     design.gated ? "with" : "without");
}

// Describes a matrix's storage; matrices of one role with the same storage share a line.
std::string storage_of(const MatrixFacts& m) {
  std::string pattern = pattern_name(m.format.pattern);
  if (m.possible != m.format.pattern) pattern += fmt::format(" ({} of zeros)", pattern_name(m.possible));
  return pattern;
}

std::string matrices_text(const std::vector<MatrixFacts>& matrices) {
  struct Line {
    std::string role, storage, encoding;
    int64_t count, values, zeros, bytes;
  };
  std::vector<Line> lines;
  for (const MatrixFacts& m : matrices) {
    const Line add{std::string(role_name(m.role)),
                   storage_of(m),
                   format_name(m.format.in(kDense)),
                   1,
                   m.weights(),
                   m.zeros,
                   m.bytes};
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& l) {
      return l.role == add.role && l.storage == add.storage && l.encoding == add.encoding;
    });
    if (line == lines.end()) {
      lines.push_back(add);
      continue;
    }
    ++line->count;
    line->values += add.values;
    line->zeros += add.zeros;
    line->bytes += add.bytes;
  }
  Table table({"matrices", "pattern", "encoding", "count", "zeros", "bits per weight"});
  for (const Line& l : lines)
    table.add({l.role, l.storage, l.encoding, fmt::format("{}", l.count),
               fmt::format("{:.3f} %", 100.0 * share(l.zeros, l.values)),
               fmt::format("{:.3f}", bits_per_value(l.bytes, l.values))});
  return table.text();
}

// Makes the table of bits a weight: by role, then of all matrices.
std::string roles_text(const Inspection& i) {
  Table table({"role", "matrices", "weights", "bytes", "of all", "bits per weight"});
  RoleSize all;
  const auto add = [&](const std::string& name, const RoleSize& size) {
    table.add({name, fmt::format("{}", size.matrices), format_count(size.weights), format_bytes(size.bytes),
               fmt::format("{:.1f} %", 100.0 * share(size.bytes, i.size.bytes)),
               fmt::format("{:.3f}", bits_per_value(size.bytes, size.weights))});
  };
  for (const RoleSize& size : i.roles) {
    add(std::string(role_name(size.role)), size);
    all.matrices += size.matrices;
    all.weights += size.weights;
    all.bytes += size.bytes;
  }
  add("all", all);
  return table.text();
}

Json roles_json(const std::vector<RoleSize>& roles) {
  Json list = Json::array();
  for (const RoleSize& size : roles)
    list.push_back({{"role", role_name(size.role)},
                    {"matrices", size.matrices},
                    {"weights", size.weights},
                    {"bytes", size.bytes},
                    {"bits_per_weight", bits_per_value(size.bytes, size.weights)}});
  return list;
}

// Shares of zeros by role.
Json zeros_json(const std::vector<MatrixFacts>& matrices) {
  std::map<std::string, std::pair<int64_t, int64_t>> sums;
  for (const MatrixFacts& m : matrices) {
    auto& [zeros, weights] = sums[std::string(role_name(m.role))];
    zeros += m.zeros;
    weights += m.weights();
  }
  Json zeros = Json::object();
  for (const auto& [role, sum] : sums) zeros[role] = share(sum.first, sum.second);
  return zeros;
}

Json matrices_json(const std::vector<MatrixFacts>& matrices) {
  Json list = Json::array();
  for (const MatrixFacts& m : matrices)
    list.push_back({{"role", role_name(m.role)},
                    {"layer", m.block < 0 ? Json() : Json(m.block)},
                    {"rows", m.rows},
                    {"cols", m.cols},
                    {"encoding", format_name(m.format.in(kDense))},
                    {"pattern", pattern_name(m.format.pattern)},
                    {"possible_pattern", pattern_name(m.possible)},
                    {"zeros", share(m.zeros, m.weights())},
                    {"bytes", m.bytes},
                    {"bits_per_weight", bits_per_value(m.bytes, m.weights())}});
  return list;
}

}  // namespace

Json to_json(const Inspection& i) {
  Json blocks = Json::array();
  for (const BlockRange& range : i.blocks)
    blocks.push_back({{"first", range.first},
                      {"last", range.last},
                      {"input_width", range.shape.input_width},
                      {"attention_output_width", range.shape.attention_output_width},
                      {"output_width", range.shape.output_width},
                      {"value_head_dim", range.shape.value_head_dim},
                      {"intermediate_size", range.shape.intermediate_size},
                      {"attention_skip", range.shape.attention_skip},
                      {"mlp_skip", range.shape.mlp_skip}});
  Json bytes_by_encoding = Json::object();
  Json encodings = Json::object();
  for (const auto& [name, use] : i.encodings) {
    bytes_by_encoding[name] = use.bytes;
    encodings[name] = {{"matrices", use.matrices},
                       {"vectors", use.vectors},
                       {"values", use.values},
                       {"bytes", use.bytes},
                       {"bits_per_value", bits_per_value(use.bytes, use.values)}};
  }
  Json linears = Json::array();
  for (const LinearGroup& group : i.linears)
    linears.push_back({{"role", group.role},
                       {"out", group.out},
                       {"in", group.in},
                       {"pattern", pattern_name(group.pattern)},
                       {"count", group.count},
                       {"kernels",
                        {{"f32", group.kernel_f32},
                         {"bf16", group.kernel_bf16},
                         {"int8", group.kernel_int8},
                         {"stored", group.kernel_stored}}}});
  return {{"path", i.path},
          {"architecture", i.config.architecture},
          {"parameters", i.size.parameters},
          {"block_parameters", i.size.block_parameters},
          {"bytes", i.size.bytes},
          {"bits_per_parameter", bits_per_value(i.size.bytes, i.size.parameters)},
          {"bytes_by_encoding", bytes_by_encoding},
          {"encodings", encodings},
          {"layers", i.config.blocks.size()},
          {"vocab_size", i.config.vocab_size},
          {"embedding_width", i.config.embedding_width},
          {"embedding_transform", i.config.embedding_transform},
          {"final_norm", i.config.final_norm},
          {"norm_width", i.config.norm_width},
          {"heads", i.config.heads},
          {"kv_heads", i.config.kv_heads},
          {"head_dim", i.config.head_dim},
          {"max_positions", i.config.max_positions},
          {"tied", i.config.tied},
          {"rope", rope_json(i.config)},
          {"learned_positions", i.config.learned_positions},
          {"design", design_json(i.config.design)},
          {"tokenizer", i.tokenizer},
          {"bos_token_id", i.config.bos ? Json(*i.config.bos) : Json()},
          {"eos_token_ids", i.config.eos},
          {"disagreements", i.disagreements},
          {"blocks", blocks},
          {"zeros", zeros_json(i.matrices)},
          {"roles", roles_json(i.roles)},
          {"matrices", matrices_json(i.matrices)},
          {"isa", i.isa},
          {"linears", linears}};
}

std::string to_text(const Inspection& i) {
  const ModelConfig& c = i.config;
  std::string out = fmt::format("{}\n", i.path);
  const auto line = [&](std::string_view name, const std::string& value) {
    out += fmt::format("  {:<14}{}\n", name, value);
  };
  const std::string embedding =
      c.embedding_transform ? fmt::format(", embedding of {}", c.embedding_width) : "";
  line("architecture", fmt::format("{}, {} layers, vocabulary {}, width {}{}", c.architecture,
                                   c.blocks.size(), c.vocab_size, c.stream_width(), embedding));
  line("attention", fmt::format("{} heads of {}, {} KV heads, context {}, {}", c.heads, c.head_dim,
                                c.kv_heads, c.max_positions, describe_positions(c)));
  line("blocks", describe_design(c.design));
  line("parameters", fmt::format("{} ({}), of them in blocks {}", i.size.parameters,
                                 format_count(i.size.parameters), format_count(i.size.block_parameters)));
  line("bytes", fmt::format("{}, {:.2f} bits per parameter", format_bytes(i.size.bytes),
                            bits_per_value(i.size.bytes, i.size.parameters)));
  line("head", c.tied ? "tied to the embedding" : "its own matrix");
  line("tokenizer", i.tokenizer);
  for (const std::string& disagreement : i.disagreements) line("disagreement", disagreement);
  line("runs on", i.isa);
  Table blocks({"layers", "in", "middle", "out", "value dim", "MLP", "skips"});
  for (const BlockRange& range : i.blocks) {
    const BlockShape& s = range.shape;
    blocks.add({range_name(range), fmt::format("{}", s.input_width),
                fmt::format("{}", s.attention_output_width), fmt::format("{}", s.output_width),
                fmt::format("{}", s.value_head_dim), fmt::format("{}", s.intermediate_size),
                fmt::format("{}", static_cast<int>(s.attention_skip) + static_cast<int>(s.mlp_skip))});
  }
  Table encodings({"encoding", "matrices", "vectors", "values", "bytes", "bits per value"});
  for (const auto& [name, use] : i.encodings)
    encodings.add({name, fmt::format("{}", use.matrices), fmt::format("{}", use.vectors),
                   format_count(use.values), format_bytes(use.bytes),
                   fmt::format("{:.3f}", bits_per_value(use.bytes, use.values))});
  Table linears({"linear", "out", "in", "pattern", "count", "f32 kernel", "bf16 kernel", "int8 kernel",
                 "stored kernel"});
  for (const LinearGroup& g : i.linears)
    linears.add({g.role, fmt::format("{}", g.out), fmt::format("{}", g.in), pattern_name(g.pattern),
                 fmt::format("{}", g.count), g.kernel_f32, g.kernel_bf16, g.kernel_int8, g.kernel_stored});
  return out + "\n" + encodings.text() + "\n" + blocks.text() + "\n" + linears.text() + "\n" +
         matrices_text(i.matrices) + "\n" + roles_text(i);
}

}  // namespace pare
