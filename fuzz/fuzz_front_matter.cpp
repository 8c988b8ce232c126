// Front matter of model cards: what is accepted has values, and each of them is read back from what is
// written for it.
#include <string_view>

#include "base/error.h"
#include "checkpoint/front_matter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  try {
    const FrontMatter found =
        read_front_matter(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    for (const auto& [key, values] : found) {
      PARE_CHECK(!values.empty());
      for (const std::string& value : values) {
        const std::string card = fmt::format("---\nkey:\n- {}\n---\n", yaml_scalar(value));
        const FrontMatter again = read_front_matter(card, "output");
        PARE_CHECK(again.at("key").size() == 1);
      }
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
