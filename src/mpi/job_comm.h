// The ranks that mpirun has started.
#pragma once

#include <memory>

#include "base/comm.h"

namespace pare {

// Returns the ranks of the job that this process belongs to; a process that no launcher has started is alone,
// and nothing is initialised. May be called once. Throws kUnsupported when it was started as one of several
// ranks and pare was built without MPI.
std::unique_ptr<Comm> job_comm();

// Returns whether pare was built with MPI.
bool has_mpi();

}  // namespace pare
