// Finished work of an unfinished run: results of every step, so that the run can be killed and continued.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/comm.h"
#include "base/json.h"
#include "compress/walk/activation_file.h"
#include "model/model.h"

namespace pare {

// A folder with a journal (one JSON record a line, appended and synced) and the files that its records name.
// A step first keeps its files, then records itself: a record is there only when its files are complete.
// Without a folder everything stays in memory and nothing survives.
//
// Every rank has its own area; the journal is that of the first. They call find(), record() and
// forget_steps() in the same order, and keep the same matrices; activations are each rank's own.
class WorkArea {
 public:
  explicit WorkArea(Comm& comm = local_comm()) : comm_(comm) {}
  // Creates the folder, or reads the journal that is there; a record that was cut short is dropped, and files
  // that another rank lacks are sent to it. Kept matrices are stored in `dtype`. `spill`: activations do not
  // stay in memory. Throws kIo and kFormat.
  WorkArea(std::filesystem::path folder, Encoding dtype, bool spill, Comm& comm = local_comm());
  ~WorkArea();
  WorkArea(const WorkArea&) = delete;
  WorkArea& operator=(const WorkArea&) = delete;

  Comm& comm() const { return comm_; }

  // Names of steps and files are from now on those of one part of the run; "" for the run itself.
  void enter(std::string scope) { scope_ = std::move(scope); }

  // Returns the record of a step, null when the step has not been finished.
  const Json* find(const std::string& step) const;
  // Records a step. It is durable on return, when all ranks have come to it, and replaces an earlier record.
  // Throws kIo, and kNumeric when the ranks disagree on the value.
  void record(const std::string& step, Json value);
  // Sets a function that is called before each record is written.
  void before_record(std::function<void()> call) { before_record_ = std::move(call); }
  // Takes back the records of steps "NAME/…".
  void forget_steps(const std::string& name);
  // Returns the number of steps "NAME/0", "NAME/1", … that are recorded without a gap.
  size_t finished(const std::string& name) const;

  // Keeps a stage or matrix; returns it as it will be written, mapped from its file from now on.
  Stage keep(const std::string& name, const Stage& stage);
  Weight keep(const std::string& name, const Weight& weight);
  Stage kept(const std::string& name, const Stage& like) const;
  Weight kept(const std::string& name) const;
  // Keeps a matrix of the algebra, in full precision.
  void keep(const std::string& name, const Matrix<double>& matrix);
  Matrix<double> kept_matrix(const std::string& name) const;
  void forget(const std::string& name);

  // Returns room for activations, with the content that an interrupted run left there. `rare`: what is
  // released leaves memory, though there may be room.
  ActivationFile stream(const std::string& name, int64_t floats, bool rare = false) const;
  void forget_stream(const std::string& name) const;

  bool is_durable() const { return !folder_.empty(); }
  bool spills() const { return spill_; }

 private:
  std::string scoped(const std::string& name) const;
  std::filesystem::path file(const std::string& name, const char* extension) const;
  void read_journal();
  void share_files();
  void append(const Json& line);
  void apply(const std::string& step, Json value);

  Comm& comm_;
  std::filesystem::path folder_;
  std::string scope_;
  Encoding dtype_ = Encoding::kF32;
  bool spill_ = false;
  int journal_ = -1;
  std::map<std::string, Json> records_;
  std::function<void()> before_record_;
};

// Identifies the running system: data that a process wrote to a file survives its death, but not that of the
// system.
std::string boot_id();

}  // namespace pare
