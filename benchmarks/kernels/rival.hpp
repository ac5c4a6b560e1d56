// SPDX-License-Identifier: MIT
/// What the library's kernels are held against.
#pragma once

#include <cstdint>

/// y <- y + t (x - y), a plain loop compiled with -O3 -march=native.
void triad(float* y, const float* x, float t, std::int64_t n);
