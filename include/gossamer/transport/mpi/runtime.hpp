// SPDX-License-Identifier: MIT
/// MPI begun and ended with a context. Includes <mpi.h>, without MPI's old C++ interface.
#pragma once

#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1  ///< for OpenMPI
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1  ///< for MPICH and its kin
#endif
#include <gossamer/error.hpp>

#include <mpi.h>

#include <string>

namespace gossamer::transport {

/// How many threads may call MPI.
enum class MpiThreads {
  serialized,  ///< any thread, one at a time: enough for one node per rank
  multiple     ///< any threads at once: several nodes per rank, each in a thread of its own
};

/// Begins MPI and, in the destructor, ends it; to be made once, first in `main`, and to go last. If
/// MPI has begun already, it only looks whether that was done well, and ends nothing.
///
/// Threads  for the main thread.
/// Throws   ConfigError if MPI has been ended before, which is for good, or does not allow the
///          threads that are needed.
class MpiRuntime {
 public:
  explicit MpiRuntime(MpiThreads threads = MpiThreads::serialized) {
    int is = 0;
    MPI_Finalized(&is);
    if (is != 0) throw ConfigError("MPI has been finalised; a process can begin it only once");
    MPI_Initialized(&is);
    if (is == 0) {
      int provided = 0;
      MPI_Init_thread(nullptr, nullptr, level(threads), &provided);
      ours_ = true;
    }
    try {
      check(threads);
    } catch (const ConfigError&) {
      end();
      throw;
    }
  }
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;
  ~MpiRuntime() { end(); }

  /// Throws ConfigError if MPI is not running, or does not allow those threads.
  static void check(MpiThreads threads) {
    int begun = 0;
    int ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun == 0) throw ConfigError("MPI has not begun; make an MpiRuntime first in main()");
    if (ended != 0) throw ConfigError("MPI has been finalised; a process can begin it only once");
    int provided = MPI_THREAD_SINGLE;
    MPI_Query_thread(&provided);
    if (provided < level(threads)) {
      throw ConfigError(std::string("MPI must allow ") + name(level(threads)) + ", allows only " +
                        name(provided) + "; begin it with MPI_Init_thread, or an MpiRuntime");
    }
  }

 private:
  static int level(MpiThreads threads) {
    return threads == MpiThreads::multiple ? MPI_THREAD_MULTIPLE : MPI_THREAD_SERIALIZED;
  }
  static const char* name(int level) {
    if (level == MPI_THREAD_MULTIPLE) return "MPI_THREAD_MULTIPLE";
    if (level == MPI_THREAD_SERIALIZED) return "MPI_THREAD_SERIALIZED";
    return level == MPI_THREAD_FUNNELED ? "MPI_THREAD_FUNNELED" : "MPI_THREAD_SINGLE";
  }
  void end() const {
    int ended = 0;
    MPI_Finalized(&ended);
    if (ours_ && ended == 0) MPI_Finalize();
  }

  bool ours_ = false;
};

}  // namespace gossamer::transport
