// SPDX-License-Identifier: MIT
#include <gossamer/gossamer.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>

#include <iostream>

std::string second_file();

int main() {
  gossamer::Archive archive;
  const bool same = gossamer::serialize(archive) == second_file();
  std::cout << "the two files write " << (same ? "the same" : "different") << " bytes\n";
  return same ? 0 : 1;
}
