#include "compress/resume/work_area.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "compress/resume/stage_file.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJournal = "journal.jsonl";
constexpr uint64_t kMaxJournalBytes = uint64_t{1} << 32;
constexpr uint64_t kPieceBytes = uint64_t{1} << 22;  // bytes of a piece of a file that travels

void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

std::string hash_of(const fs::path& path) {
  const auto mapped = MappedFile::open(path);
  const std::span<const std::byte> bytes = mapped->bytes();
  return sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

WorkArea::WorkArea(fs::path folder, Encoding dtype, bool spill, Comm& comm)
    : comm_(comm), folder_(std::move(folder)), dtype_(dtype), spill_(spill) {
  std::error_code error;
  fs::create_directory(folder_, error);
  if (error) fail(ErrorCode::kIo, "cannot create {}: {}", folder_.string(), error.message());
  read_journal();
  if (!records_.empty()) share_files();
  sync_folder(folder_);
}

void WorkArea::read_journal() {
  const fs::path path = folder_ / kJournal;
  std::string text;
  if (comm_.is_first()) {
    if (fs::exists(path)) text = read_file(path, kMaxJournalBytes);
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
    journal_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (journal_ < 0 || ::ftruncate(journal_, static_cast<off_t>(text.size())) != 0)
      fail(ErrorCode::kIo, "cannot write {}: {}", path.string(), std::strerror(errno));
  }
  text = comm_.broadcast(0, std::move(text));
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const Json line = parse_json(std::string_view(text).substr(begin, end - begin), path.string());
    apply(json_get<std::string>(line, "step", path.string()), line.at("value"));
    begin = end + 1;
  }
}

// Sends files of finished steps to ranks that lack them: on a machine that is new to the run.
void WorkArea::share_files() {
  if (comm_.size() == 1) return;
  Json files = Json::array();
  if (comm_.is_first())
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const fs::path& path = entry.path();
      if (path.extension() != ".safetensors" && path.extension() != ".f64") continue;
      files.push_back(
          {{"name", path.filename().string()}, {"size", entry.file_size()}, {"hash", hash_of(path)}});
    }
  files = parse_json(comm_.broadcast(0, files.dump()), "the files of the first rank");
  for (const Json& file : files) {
    const fs::path path = folder_ / file.at("name").get<std::string>();
    const auto size = file.at("size").get<uint64_t>();
    const bool is_there =
        comm_.is_first() || (fs::exists(path) && hash_of(path) == file.at("hash").get<std::string>());
    std::optional<AtomicFile> copy;
    if (!is_there) copy.emplace(path);
    const std::vector<std::string> wanted = comm_.gather(is_there ? "" : "wanted");
    const auto mapped = comm_.is_first() ? MappedFile::open(path) : nullptr;
    std::string piece;
    for (uint64_t begin = 0; begin < size; begin += kPieceBytes) {
      const auto count = static_cast<size_t>(std::min(kPieceBytes, size - begin));
      if (mapped) {
        for (int to = 1; to < comm_.size(); ++to)
          if (!wanted[static_cast<size_t>(to)].empty())
            comm_.send(to, mapped->bytes().subspan(static_cast<size_t>(begin), count));
      } else if (copy) {
        piece.resize(count);
        comm_.receive(0, std::as_writable_bytes(std::span(piece)));
        copy->write(piece);
      }
    }
    if (copy) copy->commit();
  }
}

WorkArea::~WorkArea() {
  if (journal_ >= 0) ::close(journal_);
}

const Json* WorkArea::find(const std::string& step) const {
  const auto it = records_.find(scoped(step));
  return it == records_.end() ? nullptr : &it->second;
}

size_t WorkArea::finished(const std::string& name) const {
  size_t count = 0;
  while (find(fmt::format("{}/{}", name, count)) != nullptr) ++count;
  return count;
}

void WorkArea::apply(const std::string& step, Json value) {
  if (!value.is_null()) {
    records_[step] = std::move(value);
    return;
  }
  const std::string prefix = step + "/";
  std::erase_if(records_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

void WorkArea::record(const std::string& step, Json value) {
  if (before_record_) before_record_();
  // No rank changes the data that the record describes before it is durable.
  comm_.barrier();
  append({{"step", scoped(step)}, {"value", value}});
  if (comm_.size() > 1 && comm_.broadcast(0, value.dump()) != value.dump())
    fail(ErrorCode::kNumeric,
         "what it computed in step {} is not what the first rank has: are the machines alike?", scoped(step));
  apply(scoped(step), std::move(value));
}

void WorkArea::forget_steps(const std::string& name) {
  comm_.barrier();
  append({{"step", scoped(name)}, {"value", nullptr}});
  apply(scoped(name), nullptr);
}

void WorkArea::append(const Json& line) {
  if (journal_ < 0) return;
  const std::string text = line.dump() + "\n";
  const off_t before = ::lseek(journal_, 0, SEEK_END);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(journal_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      // A failure is ignored: half a record is dropped when the journal is read.
      if (::ftruncate(journal_, before) != 0) log_warning("{} ends in half a record", folder_.string());
      fail(ErrorCode::kIo, "cannot write {}: {}", (folder_ / kJournal).string(), std::strerror(reason));
    }
    done += static_cast<size_t>(written);
  }
  if (::fdatasync(journal_) != 0)
    fail(ErrorCode::kIo, "cannot sync {}: {}", (folder_ / kJournal).string(), std::strerror(errno));
}

std::string WorkArea::scoped(const std::string& name) const {
  return scope_.empty() ? name : fmt::format("{}-{}", scope_, name);
}

fs::path WorkArea::file(const std::string& name, const char* extension) const {
  return folder_ / (scoped(name) + extension);
}

Stage WorkArea::keep(const std::string& name, const Stage& stage) {
  if (!is_durable()) return stage;
  write_stage(file(name, ".safetensors"), stage, dtype_);
  return kept(name, stage);
}

Weight WorkArea::keep(const std::string& name, const Weight& weight) {
  if (!is_durable()) return weight;
  write_weight(file(name, ".safetensors"), weight, dtype_);
  return kept(name);
}

Stage WorkArea::kept(const std::string& name, const Stage& like) const {
  return read_stage(file(name, ".safetensors"), like);
}

Weight WorkArea::kept(const std::string& name) const { return read_weight(file(name, ".safetensors")); }

void WorkArea::keep(const std::string& name, const Matrix<double>& matrix) {
  if (!is_durable()) return;
  AtomicFile out(file(name, ".f64"));
  const int64_t shape[] = {matrix.rows(), matrix.cols()};
  out.write(std::as_bytes(std::span(shape)));
  out.write(std::as_bytes(std::span(matrix.data(), static_cast<size_t>(matrix.size()))));
  out.commit();
}

Matrix<double> WorkArea::kept_matrix(const std::string& name) const {
  const fs::path path = file(name, ".f64");
  const auto mapped = MappedFile::open(path);
  const std::span<const std::byte> bytes = mapped->bytes();
  int64_t shape[2] = {-1, -1};
  if (bytes.size() >= sizeof(shape)) std::memcpy(shape, bytes.data(), sizeof(shape));
  constexpr int64_t kMax = int64_t{1} << 28;
  if (shape[0] < 0 || shape[1] < 0 || shape[0] > kMax || shape[1] > kMax ||
      bytes.size() != sizeof(shape) + static_cast<size_t>(shape[0] * shape[1]) * sizeof(double))
    fail(ErrorCode::kFormat, "{} is damaged", path.string());
  Matrix<double> matrix(shape[0], shape[1]);
  std::memcpy(matrix.data(), bytes.data() + sizeof(shape), bytes.size() - sizeof(shape));
  return matrix;
}

void WorkArea::forget(const std::string& name) {
  if (!is_durable()) return;
  remove_file(file(name, ".f64"));
}

ActivationFile WorkArea::stream(const std::string& name, int64_t floats, bool rare) const {
  return is_durable() ? ActivationFile(file(name, ".stream"), floats, spill_ || rare)
                      : ActivationFile(floats);
}

void WorkArea::forget_stream(const std::string& name) const {
  if (is_durable()) remove_file(file(name, ".stream"));
}

std::string boot_id() {
  std::ifstream stream("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(stream, id);
  return id;
}

}  // namespace pare
