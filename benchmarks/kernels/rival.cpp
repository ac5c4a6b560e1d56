// SPDX-License-Identifier: MIT
/// The best that a compiler makes of the loop when it may use all of this processor.
#include "rival.hpp"

void triad(float* __restrict y, const float* __restrict x, float t, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += t * (x[i] - y[i]);
}
