// SPDX-License-Identifier: MIT
// The same headers as main.cpp.
#include <gossamer/gossamer.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>

std::string second_file() {
  gossamer::Archive archive;
  return gossamer::serialize(archive);
}
