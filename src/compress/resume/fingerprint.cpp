#include "compress/resume/fingerprint.h"

#include <vector>

#include "base/hash.h"
#include "base/parallel.h"
#include "checkpoint/arch/architecture.h"
#include "model/visit.h"

namespace pare {
namespace {

std::string place_text(const TensorPlace& place) {
  return fmt::format("{} {} {}", static_cast<int>(place.role), place.block, place.bias);
}

std::string format_text(const WeightFormat& format) {
  std::string text = fmt::format("{} {}", pattern_name(format.pattern), static_cast<int>(format.encoding));
  if (format.group != 0 || format.zero_points || format.scale_type != Encoding::kF32)
    text += fmt::format(" {}", format_name(format));
  return text;
}

constexpr const char* kOptions = "options";

// Adds "NAME was X, is Y; …" for the members that differ. `format` makes a NAME of a member's name; members
// of "options" are options, those of an object among them are options of the pass that it is named after.
void add_differences(std::string& text, const Json& before, const Json& now, const std::string& format) {
  Json both = before;
  both.update(now);
  for (const auto& [key, unused] : both.items()) {
    const Json was = before.value(key, Json());
    const Json is = now.value(key, Json());
    if (was == is) continue;
    if (was.is_object() || is.is_object()) {
      const std::string of_pass = fmt::format("`{{}}` of {}", key);
      add_differences(text, was.is_object() ? was : Json::object(), is.is_object() ? is : Json::object(),
                      key == kOptions ? "`{}`" : of_pass);
      continue;
    }
    const auto value = [](const Json& json) { return json.is_null() ? "nothing" : json.dump(); };
    text += fmt::format("{}{} was {}, is {}", text.empty() ? "" : "; ",
                        fmt::format(fmt::runtime(format), key), value(was), value(is));
  }
}

std::string differences(const Json& before, const Json& now) {
  std::string text;
  add_differences(text, before, now, "{}");
  return text;
}

}  // namespace

std::string model_fingerprint(const Model& model) {
  struct Piece {
    std::string text;
    const Weight* weight;
  };
  std::vector<Piece> pieces;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& w) {
        pieces.push_back(
            {fmt::format("{} {} {} {}", place_text(place), format_text(w.format), w.rows, w.cols), &w});
      },
      [&](const TensorPlace& place, const std::vector<float>& v) {
        const std::string_view bytes(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float));
        pieces.push_back({fmt::format("{} {}", place_text(place), sha256_hex(bytes)), nullptr});
      });
  parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    Piece& piece = pieces[static_cast<size_t>(i)];
    if (piece.weight == nullptr) return;
    for (const auto& part : piece.weight->parts()) {
      if (part.empty()) continue;
      const std::string_view bytes(reinterpret_cast<const char*>(part.data()), part.size());
      piece.text += fmt::format(" {}", sha256_hex(bytes));
    }
    release_pages(*piece.weight);
  });
  const ModelConfig& config = model.config;
  std::string all = writing_architecture(config).write_config(config).dump();
  for (const Piece& piece : pieces) all += fmt::format("\n{}", piece.text);
  return sha256_hex(all);
}

void require_same_run(WorkArea& area, const Json& parts) {
  const Json first = parse_json(area.comm().broadcast(0, parts.dump()), "what the first rank works on");
  if (const std::string other = differences(first, parts); !other.empty())
    fail(ErrorCode::kInvalid, "this rank works on something else than the first: {}", other);
  const Json* earlier = area.find("run");
  if (earlier == nullptr) return area.record("run", parts);
  if (const std::string other = differences(*earlier, parts); !other.empty())
    fail(ErrorCode::kInvalid, "the interrupted run cannot be continued, since it was another one: {}", other);
}

}  // namespace pare
