// Meter of one rendering: work, and memory of the values that live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace pare {

// Bounds what happens on this thread while it lives; meters nest. Beyond a bound a JinjaFault is thrown.
//
// Work is counted in bytes that are copied: code that walks texts or items spends as many as would take as
// long. Whoever does the walking spends: python_char_at reads, JinjaString writes and copies,
// jinja_find searches, jinja_equal, jinja_less and jinja_hash compare, jinja_items lists. Code built of
// these need not count anything.
class JinjaMeter {
 public:
  static constexpr size_t kStep = 64;  // work of one operation of the evaluator

  JinjaMeter(size_t memory_limit, size_t step_limit);
  ~JinjaMeter();
  JinjaMeter(const JinjaMeter&) = delete;
  JinjaMeter& operator=(const JinjaMeter&) = delete;

  // Returns null where nothing is bounded.
  static JinjaMeter* current() { return current_; }

  void take(size_t bytes);
  void give_back(size_t bytes) { used_ -= bytes; }
  // Throws as take does, but takes nothing.
  void require(size_t bytes) const;
  void spend(size_t work) {
    if (work > left_) out_of_steps();
    left_ -= work;
  }

 private:
  [[noreturn]] void out_of_steps() const;

  static inline constinit thread_local JinjaMeter* current_ = nullptr;

  size_t memory_limit_;
  size_t step_limit_;
  size_t used_ = 0;
  size_t left_;  // work
  JinjaMeter* outer_;
};

inline void jinja_spend(size_t work) {
  if (JinjaMeter* const meter = JinjaMeter::current()) meter->spend(work);
}
// Spends one operation.
inline void jinja_step() { jinja_spend(JinjaMeter::kStep); }

// Call before a text or list is built that may be larger than its parts. `count` times `bytes` must fit;
// writing them is spent.
void jinja_require_memory(size_t bytes, size_t count = 1);
// Call while a text or list grows: its size now must fit. Spends a step.
void jinja_require_room(size_t bytes);

// A part of the current meter's memory, given back when it goes. The meter must outlive it.
class JinjaCharge {
 public:
  JinjaCharge() = default;
  explicit JinjaCharge(size_t bytes) { resize(bytes); }
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
  // Sets the size of the charge; bytes that are added are spent as work, too.
  void resize(size_t bytes);

 private:
  JinjaMeter* meter_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace pare
