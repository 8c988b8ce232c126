// What one rendering uses: operations, and memory of the values that live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace pare {

// Bounds what happens on this thread while it lives; meters nest. Beyond a bound a JinjaFault is thrown.
class JinjaMeter {
 public:
  JinjaMeter(size_t memory_limit, size_t step_limit);
  ~JinjaMeter();
  JinjaMeter(const JinjaMeter&) = delete;
  JinjaMeter& operator=(const JinjaMeter&) = delete;

  // Null where nothing is bounded.
  static JinjaMeter* current();

  void take(size_t bytes);
  void give_back(size_t bytes) { used_ -= bytes; }
  // Throws as take does, takes nothing.
  void require(size_t bytes) const;
  void step(size_t count = 1) {
    if (count > steps_left_) out_of_steps();
    steps_left_ -= count;
  }

 private:
  [[noreturn]] void out_of_steps() const;

  size_t memory_limit_;
  size_t step_limit_;
  size_t used_ = 0;
  size_t steps_left_;
  JinjaMeter* outer_;
};

// Before a text or list is built that may be larger than what it is made of. `count` times `bytes` must fit.
void jinja_require_memory(size_t bytes, size_t count = 1);
// While a text or list grows: its size now must fit.
void jinja_require_room(size_t bytes);
// The work of touching so many bytes, 64 of them a step.
void jinja_spend(size_t bytes);

// A part of the current meter's memory, given back when it goes. The meter must outlive it.
class JinjaCharge {
 public:
  JinjaCharge() = default;
  explicit JinjaCharge(size_t bytes);
  ~JinjaCharge() {
    if (meter_) meter_->give_back(bytes_);
  }
  JinjaCharge(JinjaCharge&& other) noexcept
      : meter_(std::exchange(other.meter_, nullptr)), bytes_(other.bytes_) {}
  JinjaCharge& operator=(JinjaCharge&& other) noexcept {
    std::swap(meter_, other.meter_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

 private:
  JinjaMeter* meter_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace pare
