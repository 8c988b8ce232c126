// Things that can come to hold themselves, which shared pointers alone would never let go.
#pragma once

#include <memory>
#include <vector>

namespace pare {

class JinjaCyclic {
 public:
  JinjaCyclic() = default;
  virtual ~JinjaCyclic() = default;
  JinjaCyclic(const JinjaCyclic&) = delete;
  JinjaCyclic& operator=(const JinjaCyclic&) = delete;
  // Lets go of everything the object holds.
  virtual void drop() = 0;
};

// Drops in the end what was added on this thread while it lived. They nest.
class JinjaCycles {
 public:
  JinjaCycles();
  ~JinjaCycles();
  JinjaCycles(const JinjaCycles&) = delete;
  JinjaCycles& operator=(const JinjaCycles&) = delete;

  static void add(std::shared_ptr<JinjaCyclic> made);

 private:
  std::vector<std::shared_ptr<JinjaCyclic>> made_;
  JinjaCycles* outer_;
};

}  // namespace pare
