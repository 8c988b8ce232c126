#include "text/jinja/meter.h"

#include "text/jinja/fault.h"

namespace pare {

JinjaMeter::JinjaMeter(size_t memory_limit, size_t step_limit)
    : memory_limit_(memory_limit), step_limit_(step_limit), outer_(current_) {
  if (__builtin_mul_overflow(step_limit, kStep, &left_)) left_ = SIZE_MAX;
  current_ = this;
}

JinjaMeter::~JinjaMeter() { current_ = outer_; }

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
  meter->spend(total);
}

void jinja_require_room(size_t bytes) {
  JinjaMeter* const meter = JinjaMeter::current();
  if (!meter) return;
  meter->require(bytes);
  meter->spend(JinjaMeter::kStep);
}

void JinjaCharge::resize(size_t bytes) {
  if (!meter_) {
    meter_ = JinjaMeter::current();
    bytes_ = 0;
  }
  if (!meter_) return;
  if (bytes > bytes_) {
    meter_->take(bytes - bytes_);
    meter_->spend(bytes - bytes_);
  } else {
    meter_->give_back(bytes_ - bytes);
  }
  bytes_ = bytes;
}

}  // namespace pare
