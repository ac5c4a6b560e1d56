// SPDX-License-Identifier: MIT
/// Messages with coded bytes in place of a snapshot, over MPI.
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/transport/mpi.hpp>

#include <tests/support.hpp>
#include <tests/transport/mpi_group.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>

namespace {

using namespace tests::mpi;
using gossamer::codec::Coded;
using gossamer::codec::CodedPool;

TEST_CASE("MPI carries codes of any length that the model allows, beside snapshots",
          "[transport][mpi][codec]") {
  Group group(2, 8);
  CodedPool pool;
  SnapshotPool snapshots(Flat({torch::zeros({4})}));
  const auto next = [&] {
    while (true) {
      group.quiet();
      while (auto event = group[1].poll()) {
        if (auto* delivered = std::get_if<Delivered>(&*event)) return delivered->message;
      }
    }
  };
  for (const std::size_t size : {std::size_t{1}, std::size_t{15}, Message::most_code(16)}) {
    Coded code = pool.take(size);
    std::fill(code.writable().begin(), code.writable().end(), static_cast<std::byte>(size));
    group[0].send({.to = 1, .kind = 5, .weight = 0.25, .payload = {}, .code = code});
    Snapshot copy = snapshots.take();
    copy.writable().segments()[0].fill_(1.5);
    group[0].send({.to = 1, .kind = 6, .payload = std::move(copy)});
    const Message message = next();
    CHECK(message.kind == 5);
    CHECK(message.weight == 0.25);
    CHECK_FALSE(message.payload);
    CHECK(std::equal(message.code.bytes().begin(), message.code.bytes().end(), code.bytes().begin(),
                     code.bytes().end()));
    const Message other = next();
    CHECK_FALSE(other.code);
    REQUIRE(other.payload);
    CHECK(other.payload->segments()[0][3].item<float>() == 1.5F);
  }
}

}  // namespace
