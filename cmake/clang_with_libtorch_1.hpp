// SPDX-License-Identifier: MIT
/// Lets Clang read LibTorch 1.13 in C++20, for the fuzzers and clang-tidy on Debian 12; included by
/// force before anything else. LibTorch names members of std::vector<IValue> before IValue is
/// complete; they are constexpr since C++20, so Clang instantiates them at once and fails. Here
/// libstdc++'s std::vector is read without constexpr. Delete this with Debian 12.
#pragma once

#include <memory>
#include <string>

#pragma push_macro("_GLIBCXX20_CONSTEXPR")
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#define __fill_a1 \
  fill_bits  // was declared constexpr; std::fill over std::vector<bool> will not link
#include <vector>
#undef __fill_a1
#pragma pop_macro("_GLIBCXX20_CONSTEXPR")
