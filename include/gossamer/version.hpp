// SPDX-License-Identifier: MIT
/// The library's version; CMake reads it from here.
#pragma once

/// The version as numbers and as text.
/// @{
#define GOSSAMER_VERSION_MAJOR 0
#define GOSSAMER_VERSION_MINOR 1
#define GOSSAMER_VERSION_PATCH 0
#define GOSSAMER_VERSION "0.1.0"
/// @}
