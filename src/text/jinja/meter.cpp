#include "text/jinja/meter.h"

#include "text/jinja/fault.h"

namespace pare {
namespace {

thread_local JinjaMeter* current_meter = nullptr;

}  // namespace

JinjaMeter::JinjaMeter(size_t memory_limit, size_t step_limit)
    : memory_limit_(memory_limit), step_limit_(step_limit), steps_left_(step_limit), outer_(current_meter) {
  current_meter = this;
}

JinjaMeter::~JinjaMeter() { current_meter = outer_; }

JinjaMeter* JinjaMeter::current() { return current_meter; }

void JinjaMeter::require(size_t bytes) const {
  if (bytes > memory_limit_ - used_)
    jinja_fault("the template needs more than {} bytes of memory, the limit", memory_limit_);
}

void JinjaMeter::take(size_t bytes) {
  require(bytes);
  used_ += bytes;
}

void JinjaMeter::out_of_steps() const {
  jinja_fault("the template needs more than {} steps, the limit", step_limit_);
}

void jinja_require_memory(size_t bytes, size_t count) {
  JinjaMeter* const meter = JinjaMeter::current();
  if (!meter || bytes == 0) return;
  size_t total = 0;
  if (__builtin_mul_overflow(bytes, count, &total)) total = SIZE_MAX;
  meter->require(total);
  meter->step(total / 64);
}

void jinja_require_room(size_t bytes) {
  JinjaMeter* const meter = JinjaMeter::current();
  if (!meter) return;
  meter->require(bytes);
  meter->step();
}

void jinja_spend(size_t bytes) {
  if (JinjaMeter* const meter = JinjaMeter::current()) meter->step(bytes / 64);
}

JinjaCharge::JinjaCharge(size_t bytes) : bytes_(bytes) {
  JinjaMeter* const meter = JinjaMeter::current();
  if (!meter) return;
  meter->take(bytes);
  meter->step(bytes / 64);
  meter_ = meter;
}

}  // namespace pare
