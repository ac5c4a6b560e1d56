// SPDX-License-Identifier: MIT
#include <gossamer/gossamer.hpp>

#include <torch/torch.h>
