// SPDX-License-Identifier: MIT
// Lets a program run over MPI, too, without a change to it: to be linked with gossamer::mpi.
#include <gossamer/distributed/mpi.hpp>
