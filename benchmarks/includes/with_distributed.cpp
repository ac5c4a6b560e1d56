// SPDX-License-Identifier: MIT
// As with the target gossamer::distributed.
#define GOSSAMER_SEPARATE_COMPILATION
#include <gossamer/distributed.hpp>

#include <torch/torch.h>
