#include "inspection.h"
#include "options.h"
#include "table.h"

namespace pare {
namespace {

constexpr std::string_view kScalingNames[] = {"none", "linear", "llama3", "divisors"};

std::string_view scaling_name(RopeScaling scaling) { return kScalingNames[static_cast<size_t>(scaling)]; }

double share(const RoleZeros& zeros) {
  return zeros.values == 0 ? 0.0 : static_cast<double>(zeros.zeros) / static_cast<double>(zeros.values);
}

std::string range_name(const BlockRange& range) {
  return range.first == range.last ? fmt::format("{}", range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

Json rope_json(const RopeConfig& rope) {
  Json json = {{"theta", rope.theta}, {"scaling", scaling_name(rope.scaling)}};
  if (rope.scaling != RopeScaling::kNone) json["factor"] = rope.factor;
  return json;
}

std::string describe_rope(const RopeConfig& rope) {
  std::string text = fmt::format("theta {:g}", rope.theta);
  if (rope.scaling != RopeScaling::kNone)
    text += rope.scaling == RopeScaling::kDivisors
                ? fmt::format(", {} divisors of its own", rope.divisors.size())
                : fmt::format(", {} scaling by {:g}", scaling_name(rope.scaling), rope.factor);
  return text;
}

double bits_per_weight(int64_t bytes, int64_t values) {
  return values == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
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
  Json zeros = Json::object();
  for (const auto& entry : i.zeros) zeros[entry.first] = share(entry.second);
  Json bytes_by_encoding = Json::object();
  Json encodings = Json::object();
  for (const auto& [name, use] : i.encodings) {
    bytes_by_encoding[name] = use.bytes;
    encodings[name] = {{"matrices", use.matrices},
                       {"vectors", use.vectors},
                       {"values", use.values},
                       {"bytes", use.bytes},
                       {"bits_per_value", bits_per_weight(use.bytes, use.values)}};
  }
  Json linears = Json::array();
  for (const LinearGroup& group : i.linears)
    linears.push_back(
        {{"role", group.role},
         {"out", group.out},
         {"in", group.in},
         {"count", group.count},
         {"kernels", {{"f32", group.kernel_f32}, {"bf16", group.kernel_bf16}, {"int8", group.kernel_int8}}}});
  return {{"path", i.path},
          {"architecture", i.config.architecture},
          {"parameters", i.size.parameters},
          {"block_parameters", i.size.block_parameters},
          {"bytes", i.size.bytes},
          {"bits_per_parameter", bits_per_weight(i.size.bytes, i.size.parameters)},
          {"bytes_by_encoding", bytes_by_encoding},
          {"encodings", encodings},
          {"layers", i.config.blocks.size()},
          {"vocab_size", i.config.vocab_size},
          {"embedding_width", i.config.embedding_width},
          {"norm_width", i.config.norm_width},
          {"heads", i.config.heads},
          {"kv_heads", i.config.kv_heads},
          {"head_dim", i.config.head_dim},
          {"max_positions", i.config.max_positions},
          {"tied", i.config.tied},
          {"rope", rope_json(i.config.rope)},
          {"tokenizer", i.tokenizer},
          {"blocks", blocks},
          {"zeros", zeros},
          {"isa", i.isa},
          {"linears", linears}};
}

std::string to_text(const Inspection& i) {
  const ModelConfig& c = i.config;
  std::string out = fmt::format("{}\n", i.path);
  const auto line = [&](std::string_view name, const std::string& value) {
    out += fmt::format("  {:<14}{}\n", name, value);
  };
  line("architecture", fmt::format("{}, {} layers, vocabulary {}, width {}", c.architecture, c.blocks.size(),
                                   c.vocab_size, c.embedding_width));
  line("attention", fmt::format("{} heads of {}, {} KV heads, context {}, rope {}", c.heads, c.head_dim,
                                c.kv_heads, c.max_positions, describe_rope(c.rope)));
  line("parameters", fmt::format("{} ({}), of them in blocks {}", i.size.parameters,
                                 format_count(i.size.parameters), format_count(i.size.block_parameters)));
  line("bytes", fmt::format("{}, {:.2f} bits per parameter", format_bytes(i.size.bytes),
                            bits_per_weight(i.size.bytes, i.size.parameters)));
  line("head", c.tied ? "tied to the embedding" : "its own matrix");
  line("tokenizer", i.tokenizer);
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
                   fmt::format("{:.3f}", bits_per_weight(use.bytes, use.values))});
  Table linears({"linear", "out", "in", "count", "f32 kernel", "bf16 kernel", "int8 kernel"});
  for (const LinearGroup& g : i.linears)
    linears.add({g.role, fmt::format("{}", g.out), fmt::format("{}", g.in), fmt::format("{}", g.count),
                 g.kernel_f32, g.kernel_bf16, g.kernel_int8});
  Table zeros({"zeros", "share"});
  for (const auto& entry : i.zeros)
    zeros.add({entry.first, fmt::format("{:.3f} %", 100.0 * share(entry.second))});
  return out + "\n" + encodings.text() + "\n" + blocks.text() + "\n" + linears.text() + "\n" + zeros.text();
}

}  // namespace pare
