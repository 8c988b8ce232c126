// What a teacher predicts at every token of a set, computed once.
#pragma once

#include "compress/pass.h"
#include "train/distillation.h"
#include "train/training_pass.h"

namespace pare {

// Sequences of a set, one behind another.
SequenceBatch batch_of(const CalibrationSet& set, std::span<const int64_t> sequences);

class TeacherRows {
 public:
  // Runs the teacher over all sequences; those that an interrupted run has finished are not run again.
  TeacherRows(const Model& teacher, const CalibrationSet& set, WorkArea& area, const PassProgress& progress);
  // Returns what it predicts behind a token of a sequence.
  TeacherRow at(int64_t sequence, int64_t token) const;
  // Bytes of the rows of so many tokens.
  static int64_t bytes(int64_t tokens);

 private:
  int64_t seqlen_;
  ActivationFile rows_;  // (tokens, sizeof(TeacherRow) / 4)
};

}  // namespace pare
