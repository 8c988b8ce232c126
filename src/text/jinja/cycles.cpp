#include "text/jinja/cycles.h"

#include "base/error.h"

namespace pare {
namespace {

thread_local JinjaCycles* current_cycles = nullptr;

}  // namespace

JinjaCycles::JinjaCycles() : outer_(current_cycles) { current_cycles = this; }

JinjaCycles::~JinjaCycles() {
  for (const auto& made : made_) made->drop();
  current_cycles = outer_;
}

void JinjaCycles::add(std::shared_ptr<JinjaCyclic> made) {
  PARE_CHECK(current_cycles != nullptr);
  current_cycles->made_.push_back(std::move(made));
}

}  // namespace pare
