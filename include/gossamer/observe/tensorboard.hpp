// SPDX-License-Identifier: MIT
/// Writes event files, which TensorBoard opens.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/interval.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

/// CRC-32C (Castagnoli) of bytes. Source: RFC 3720, B.4.
constexpr std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}
static_assert(crc32c("123456789") == 0xE3069283U);

/// Scalars over steps, in TensorFlow's record format: each record is its length, a masked CRC-32C
/// of that, an `Event` (protobuf), and a masked CRC-32C of it.
///
/// Threads  one at a time.
/// Throws   std::runtime_error that names the file, if it cannot be made or written.
/// Source   tensorflow/core/lib/io/record_writer.h; tensorflow/core/util/event.proto,
///          tensorflow/core/framework/summary.proto.
class EventFile {
 public:
  using Scalars = std::vector<std::pair<std::string, double>>;

  /// A new file in `folder`, which is made if it is not there.
  explicit EventFile(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    std::array<char, 256> host{"localhost"};
    ::gethostname(host.data(), host.size() - 1);
    const auto seconds = static_cast<std::int64_t>(wall_time());
    path_ = folder / ("events.out.tfevents." + std::to_string(seconds) + "." + host.data() + "." +
                      std::to_string(::getpid()));
    file_.open(path_, std::ios::binary | std::ios::app);
    std::string event;
    put_double(event, 1, wall_time());
    put_bytes(event, 3, "brain.Event:2");
    write(event);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Values at a step. On the disk when it returns.
  void add(std::uint64_t step, const Scalars& scalars) {
    std::string summary;
    for (const auto& [tag, value] : scalars) {
      std::string one;
      put_bytes(one, 1, tag);
      put_float(one, 2, static_cast<float>(value));
      put_bytes(summary, 1, one);
    }
    std::string event;
    put_double(event, 1, wall_time());
    put_key(event, 2, 0);
    put_varint(event, step);
    put_bytes(event, 5, summary);
    write(event);
  }

 private:
  static double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  // Protobuf: a field is its number and wire type, then its value.

  static void put_varint(std::string& to, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) to += static_cast<char>((value & 0x7FU) | 0x80U);
    to += static_cast<char>(value);
  }
  static void put_key(std::string& to, std::uint32_t field, std::uint32_t wire_type) {
    put_varint(to, field << 3U | wire_type);
  }
  static void put_bytes(std::string& to, std::uint32_t field, std::string_view bytes) {
    put_key(to, field, 2);
    put_varint(to, bytes.size());
    to += bytes;
  }
  static void put_double(std::string& to, std::uint32_t field, double value) {
    put_key(to, field, 1);
    put_little_endian(to, std::bit_cast<std::uint64_t>(value));
  }
  static void put_float(std::string& to, std::uint32_t field, float value) {
    put_key(to, field, 5);
    put_little_endian(to, std::bit_cast<std::uint32_t>(value));
  }
  template <class Unsigned>
  static void put_little_endian(std::string& to, Unsigned value) {
    for (std::size_t i = 0; i < sizeof value; ++i) to += static_cast<char>(value >> 8 * i & 0xFFU);
  }
  static std::uint32_t masked(std::string_view bytes) {
    return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
  }

  void write(std::string_view event) {
    std::string record;
    put_little_endian(record, std::uint64_t{event.size()});
    put_little_endian(record, masked(record));
    record += event;
    put_little_endian(record, masked(event));
    file_ << record << std::flush;
    if (!file_) throw std::runtime_error("cannot write " + path_.string());
  }

  std::filesystem::path path_;
  std::ofstream file_;
};

/// Shows a group in TensorBoard, over samples: each evaluation's values and, every `every` of the
/// wall clock, the mean loss since, samples per second, and messages.
///
///     auto board = std::make_shared<observe::TensorBoard>("runs/first");
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(board), rule::GoSgd(0.02));
///     ... tensorboard --logdir runs ...
///
/// Threads  the one that owns the group.
/// Throws   as `EventFile`.
class TensorBoard final : public Callback {
 public:
  explicit TensorBoard(const std::filesystem::path& folder,
                       std::chrono::duration<double> every = std::chrono::seconds(10))
      : file_(folder), every_(every) {}

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

  void on_run_begin(Time, const GroupState& state) override { interval_.begin(state); }
  void on_tick(Time, const GroupState& state) override {
    if (interval_.length(state) >= every_) add(state);
  }
  void on_run_end(Time, const GroupState& state) override { add(state); }
  void on_evaluation(Time, const Evaluation& found, const GroupState& state) override {
    EventFile::Scalars scalars;
    for (const auto& [name, value] : found) {
      const double number = std::visit([](auto n) { return static_cast<double>(n); }, value);
      if (std::isfinite(number)) scalars.emplace_back(name, number);
    }
    if (!scalars.empty()) file_.add(state.totals.samples, scalars);
  }

 private:
  void add(const GroupState& state) {
    const auto means = interval_.end(state);
    if (!means) return;
    const Counters& now = state.totals;
    file_.add(now.samples, {{"loss", means->loss},
                            {"samples_per_second", means->samples_per_second},
                            {"messages_sent", static_cast<double>(now.messages_sent)}});
  }

  EventFile file_;
  std::chrono::duration<double> every_;
  Interval interval_;
};

}  // namespace gossamer::observe
