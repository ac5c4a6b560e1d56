// SPDX-License-Identifier: MIT
// The part of <gossamer/distributed.hpp> that is compiled apart: a source of every program that
// links the target gossamer::distributed.
#include <gossamer/distributed/join_run.hpp>
