#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "mpi/job_comm.h"

namespace pare {

std::unique_ptr<Comm> job_comm() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size != nullptr && std::string_view(size) != "1")
      fail(ErrorCode::kUnsupported, "started as one of {} ranks, but this pare was built without MPI", size);
  }
  return std::make_unique<LocalComm>();
}

bool has_mpi() { return false; }

}  // namespace pare
