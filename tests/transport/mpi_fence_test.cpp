// SPDX-License-Identifier: MIT
/// Messages over MPI whose numbers are still being written.
#include <gossamer/model/fence.hpp>
#include <gossamer/transport/mpi.hpp>

#include <tests/support.hpp>
#include <tests/transport/mpi_group.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace {

using namespace tests::mpi;

/// Opened by hand. Who would wait for it is counted and let through.
class Gate final : public gossamer::model::Fence {
 public:
  [[nodiscard]] bool ready() const override { return is_open; }
  void wait() const override { blocked += is_open ? 0 : 1; }
  bool is_open = false;
  mutable int blocked = 0;
};

std::optional<Message> next(Group& group, gossamer::PeerId node) {
  for (int i = 0; i < 10; ++i) {
    group.quiet();
    while (auto event = group[node].poll()) {
      if (auto* delivered = std::get_if<Delivered>(&*event)) return delivered->message;
    }
  }
  return std::nullopt;
}

TEST_CASE("Over MPI a message waits for its fence, and others pass", "[transport][mpi][staging]") {
  Group group(3, 8);
  const auto gate = std::make_shared<Gate>();
  Snapshot late = group.snapshot(0, 1);
  at::Tensor numbers = late->segments()[0];
  late.set_fence(gate);
  group[0].send({.to = 1, .weight = 0.25, .payload = late});
  group[0].send({.to = 2, .weight = 0.125, .payload = group.snapshot(0, 3)});
  group[1].send({.to = 0, .weight = 0.5, .payload = group.snapshot(1, 4)});
  CHECK_FALSE(next(group, 1));
  const auto to_another = next(group, 2);
  REQUIRE(to_another);
  CHECK(to_another->payload->segments()[0][0].item<float>() == 3);
  const auto back = next(group, 0);
  REQUIRE(back);
  CHECK(back->weight == 0.5);
  CHECK(gate->blocked == 0);
  numbers.fill_(2);  // as a device would
  gate->is_open = true;
  const auto there = next(group, 1);
  REQUIRE(there);
  CHECK(there->weight == 0.25);
  CHECK(there->payload->segments()[0][3].item<float>() == 2);
  CHECK(gate->blocked == 0);
}

}  // namespace
