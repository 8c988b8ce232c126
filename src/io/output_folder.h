// A folder that appears under its final name only when complete.
#pragma once

#include <filesystem>

namespace pare {

// Treatment of the folder that an interrupted run left.
enum class Leftover {
  kRefuse,    // an error if it holds finished work, else it is replaced
  kContinue,  // go on with it; with none there, begin
  kDiscard,   // replace it
};

// Kinds of results.
enum class OutputKind {
  kFolder,  // the folder as a whole
  kFile     // the file in it that has the final name
};

// Files go to path(), the sibling NAME.partial; commit() renames it, or the file in it, to NAME. Destroyed
// without commit(): the partial folder is removed, unless keep_unfinished() was called.
class OutputFolder {
 public:
  // Throws kInvalid when `final_path` is `input` (which may be empty: none) or is neither absent nor, of a
  // folder, empty, and when an interrupted run's work is in the way; kIo when its parent is missing or not
  // writable or another process is writing there. A NAME.partial that no run of pare made is refused.
  OutputFolder(const std::filesystem::path& final_path, const std::filesystem::path& input,
               Leftover leftover = Leftover::kRefuse, OutputKind kind = OutputKind::kFolder);
  // Returns where the files of an output of that name are until it is complete.
  static std::filesystem::path partial_of(const std::filesystem::path& final_path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  // kFile: the path at which the result has to be at commit().
  std::filesystem::path file() const { return partial_ / final_.filename(); }
  // A folder inside path() for what must survive an interruption; not there until somebody creates it,
  // removed by commit().
  std::filesystem::path work() const;
  // Returns whether work() may hold the work of an interrupted run; everything else in path() is gone.
  bool continued() const { return continued_; }
  // Returns whether the interrupted run had written everything, so that only commit() is missing.
  bool is_complete() const { return complete_; }
  // Marks that there is work to keep from now on. Throws kIo.
  void keep_unfinished();
  // Marks that there is nothing to keep any more.
  void discard() { kept_ = false; }
  // Renames the folder or the file, which takes the rest of the folder away. Throws kIo; the complete partial
  // folder then stays and the message names it.
  void commit();

 private:
  void mark(const char* state);
  bool was_moved(Leftover leftover) const;
  void move(const std::filesystem::path& from) const;

  OutputKind kind_;
  std::filesystem::path final_;
  std::filesystem::path partial_;
  int lock_ = -1;  // the marker file, locked
  bool continued_ = false;
  bool complete_ = false;
  bool kept_ = false;
};

}  // namespace pare
