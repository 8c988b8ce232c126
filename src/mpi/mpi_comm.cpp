#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "mpi/job_comm.h"

namespace pare {
namespace {

constexpr int kData = 1;
constexpr int kFailure = 2;
constexpr size_t kMaxPiece = size_t{1} << 30;  // largest piece of a message: MPI counts are ints
constexpr int kYields = 2000;                  // yields of a waiting rank before it sleeps between looks
constexpr auto kNap = std::chrono::microseconds(50);
constexpr auto kPatience = std::chrono::seconds(3);

// Returns whether a launcher has set a variable: those of Open MPI, MPICH and MVAPICH, and those of PMIx.
bool is_launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

void check(int result, const char* what, int peer) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(result, text, &length);
  fail(ErrorCode::kIo, "{} rank {} failed: {}", what, peer, text);
}

// Waits for an operation without burning a core for long.
class Waiting {
 public:
  void once() {
    if (++looks_ <= kYields)
      sched_yield();
    else
      std::this_thread::sleep_for(kNap);
  }

 private:
  int looks_ = 0;
};

class MpiComm final : public Comm {
 public:
  MpiComm() {
    MPI_Init(nullptr, nullptr);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiComm() override { MPI_Finalize(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void send(int to, std::span<const std::byte> bytes) override {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMaxPiece, bytes.size()))) {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Isend(bytes.data(), static_cast<int>(std::min(kMaxPiece, bytes.size())), MPI_BYTE, to, kData,
                      MPI_COMM_WORLD, &request),
            "sending to", to);
      wait(request, "sending to", to);
    }
  }

  void receive(int from, std::span<std::byte> bytes) override {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMaxPiece, bytes.size()))) {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Irecv(bytes.data(), static_cast<int>(std::min(kMaxPiece, bytes.size())), MPI_BYTE, from,
                      kData, MPI_COMM_WORLD, &request),
            "receiving from", from);
      wait(request, "receiving from", from);
    }
  }

  void announce_failure(std::string_view message) noexcept override {
    if (rank_ == 0) return;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Isend(message.data(), static_cast<int>(message.size()), MPI_BYTE, 0, kFailure, MPI_COMM_WORLD,
              &request);
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      int done = 0;
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      std::this_thread::sleep_for(kNap);
    }
  }

  void end_job(int status) noexcept override { MPI_Abort(MPI_COMM_WORLD, status); }

 private:
  void wait(MPI_Request& request, const char* what, int peer) {
    Waiting waiting;
    for (int done = 0; done == 0; waiting.once()) {
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what, peer);
      if (done == 0 && rank_ == 0) throw_announced();
    }
  }

  // Throws the error that another rank has announced, if there is one.
  void throw_announced() {
    int there = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kFailure, MPI_COMM_WORLD, &there, &status);
    if (there == 0) return;
    int length = 0;
    MPI_Get_count(&status, MPI_BYTE, &length);
    std::string message(static_cast<size_t>(length), '\0');
    MPI_Recv(message.data(), length, MPI_BYTE, status.MPI_SOURCE, kFailure, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    fail(ErrorCode::kIo, "rank {}: {}", status.MPI_SOURCE, message);
  }

  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

std::unique_ptr<Comm> job_comm() {
  if (!is_launched()) return std::make_unique<LocalComm>();
  return std::make_unique<MpiComm>();
}

bool has_mpi() { return true; }

}  // namespace pare
