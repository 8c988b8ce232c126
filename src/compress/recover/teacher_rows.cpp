#include "compress/recover/teacher_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "compress/walk/activation_pair.h"

namespace pare {
namespace {

constexpr const char* kStream = "teacher";
constexpr int64_t kWidth = sizeof(TeacherRow) / sizeof(float);
constexpr int64_t kMostTokens = int64_t{1} << 15;  // tokens that the teacher reads at once

}  // namespace

SequenceBatch batch_of(const CalibrationSet& set, std::span<const int64_t> sequences) {
  SequenceBatch batch;
  batch.length = set.seqlen();
  for (const int64_t i : sequences) {
    const std::vector<int32_t>& tokens = set.sequences[static_cast<size_t>(i)];
    batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
  }
  return batch;
}

TeacherRows::TeacherRows(const Model& teacher, const CalibrationSet& set, WorkArea& area,
                         const PassProgress& progress)
    : seqlen_(set.seqlen()), rows_(area.stream(kStream, set.tokens() * kWidth)) {
  const TrainingPass pass(teacher, ComputeType::kBF16);
  const auto count = static_cast<int64_t>(set.sequences.size());
  const int64_t group = std::min(std::clamp<int64_t>(kMostTokens / seqlen_, 1, 32), count);
  for (int64_t first = 0; first < count; first += group) {
    const std::string step = fmt::format("teacher/{}", first / group);
    // Rows that a process wrote survive its death, but not that of the system.
    const Json* record = rows_.was_there() ? area.find(step) : nullptr;
    if (record != nullptr && record->at("boot").get<std::string>() == boot_id()) continue;
    if (progress) progress("asking the teacher", first, count);
    std::vector<int64_t> sequences(static_cast<size_t>(std::min(group, count - first)));
    std::iota(sequences.begin(), sequences.end(), first);
    pass.loss(batch_of(set, sequences), [&](int64_t row, std::span<float> logits) {
      const TeacherRow kept = teacher_row(logits);
      std::memcpy(rows_.rows(first * seqlen_ + row, 1, kWidth).row(0), &kept, sizeof(kept));
      return 0.0;
    });
    area.record(step, {{"boot", boot_id()}});
  }
}

TeacherRow TeacherRows::at(int64_t sequence, int64_t token) const {
  TeacherRow row;
  std::memcpy(&row, rows_.rows(sequence * seqlen_ + token, 1, kWidth).row(0), sizeof(row));
  return row;
}

int64_t TeacherRows::bytes(int64_t tokens) { return tokens * static_cast<int64_t>(sizeof(TeacherRow)); }

}  // namespace pare
