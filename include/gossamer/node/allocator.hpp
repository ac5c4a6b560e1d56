// SPDX-License-Identifier: MIT
/// Advice for the C library's allocator, for processes in which several threads train.
#pragma once

#include <cstdlib>  // defines __GLIBC__

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace gossamer {

/// Keeps freed memory in the process in place of handing it back to the system after each large
/// tensor. Call it first in `main`, when several nodes train as threads of one process: activations
/// are large enough that glibc would map and unmap each of them, and threads of one process queue
/// up for page faults. Costs: memory, once used, stays with the process. Does nothing outside
/// glibc. False if the C library refused.
inline bool tune_allocator() {
#ifdef __GLIBC__
  return mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1;
#else
  return false;
#endif
}

}  // namespace gossamer
