// SPDX-License-Identifier: MIT
#include <gossamer/observe/tensorboard.hpp>

#include <tests/observe/read_by_python.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

namespace {

using gossamer::observe::EventFile;
using gossamer::observe::GroupState;
using gossamer::observe::TensorBoard;
using Time = gossamer::observe::Callback::Time;

const char* const reader = GOSSAMER_SOURCE_DIR "/tests/observe/read_events.py";

GroupState state_of(std::uint64_t steps, double loss_sum) {
  GroupState state;
  state.totals.steps = steps;
  state.totals.samples = 20 * steps;
  state.totals.loss_sum = loss_sum;
  state.totals.messages_sent = 2 * steps;
  state.wall = std::chrono::seconds(steps);
  return state;
}

}  // namespace

TEST_CASE("CRC-32C is that of RFC 3720", "[observe][tensorboard]") {
  using gossamer::observe::crc32c;
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
  CHECK(crc32c("") == 0);
}

TEST_CASE("An event file is read back by a reader of its own", "[observe][tensorboard]") {
  const tests::TemporaryFolder folder;
  EventFile file(folder.path() / "run");
  CHECK(file.path().filename().string().rfind("events.out.tfevents.", 0) == 0);
  file.add(0, {{"loss", 0.5}});
  file.add(std::numeric_limits<std::uint64_t>::max() / 2, {{"a/b", -1.25}, {"c", 1e30}});
  file.add(300, {{std::string(200, 'x'), 0}});
  CHECK(tests::read_by_python(reader, file.path()) ==
        "[\"brain.Event:2\"]\n"
        "[0, {\"loss\": 0.5}]\n"
        "[9223372036854775807, {\"a/b\": -1.25, \"c\": "
        "1.0000000150474662e+30}]\n"
        "[300, {\"" +
            std::string(200, 'x') + "\": 0.0}]\n");
  // The reader is no yes-man.
  std::fstream damage(file.path(), std::ios::in | std::ios::out | std::ios::binary);
  damage.seekp(30);
  damage.put('~');
  damage.close();
  CHECK(tests::read_by_python(reader, file.path()) ==
        "byte 0: a record does not match its checksum\n");
}

TEST_CASE("TensorBoard is shown evaluations, and means since the last time",
          "[observe][tensorboard]") {
  const tests::TemporaryFolder folder;
  TensorBoard board(folder.path(), std::chrono::seconds(10));
  board.on_run_begin(Time(0), state_of(0, 0));
  board.on_tick(Time(0), state_of(9, 9));  // too early
  board.on_tick(Time(0), state_of(10, 20));
  board.on_evaluation(Time(0), {{"accuracy", 0.5}, {"lost", std::nan("")}, {"n", std::uint64_t{3}}},
                      state_of(10, 20));
  board.on_run_end(Time(0), state_of(14, 24));
  board.on_run_end(Time(0), state_of(14, 24));  // nothing new
  CHECK(tests::read_by_python(reader, board.path()) ==
        "[\"brain.Event:2\"]\n"
        "[200, {\"loss\": 2.0, \"samples_per_second\": 20.0, \"messages_sent\": 20.0}]\n"
        "[200, {\"accuracy\": 0.5, \"n\": 3.0}]\n"
        "[280, {\"loss\": 1.0, \"samples_per_second\": 20.0, \"messages_sent\": 28.0}]\n");
}
