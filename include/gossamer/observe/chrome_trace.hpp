// SPDX-License-Identifier: MIT
/// Writes a file in the Chrome trace format, for Perfetto and for Chromium's own chrome://tracing.
#pragma once

#include <gossamer/observe/replace_file.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace gossamer::observe {

/// Events of a trace as text: slices of time on lanes, arrows between them, and numbers over time.
/// They may come in any order of time, which is never negative. Slices of a lane lie within each
/// other or apart; of two that begin together, the one written first lies around the other or, if
/// it has no length, before it. Names must be UTF-8.
///
/// Derive it and write down what `take()` returns: after each event that leaves much there, or
/// later. It is 100 to 200 bytes per event, on a line that begins with the comma before it.
///
/// Threads  one at a time.
/// Source   "Trace Event Format", the Catapult project: JSON array form, times in microseconds.
class ChromeEvents {
 public:
  using Time = std::chrono::nanoseconds;

  /// A line of the picture: a thread of a process, in the format's words. Both are above 0.
  struct Lane {
    std::uint32_t process = 1;
    std::uint32_t thread = 1;
  };
  /// What is shown of an event when it is selected.
  struct Argument {
    std::string_view name;
    std::variant<double, std::uint64_t, std::string_view> value;
  };
  using Arguments = std::initializer_list<Argument>;

  ChromeEvents(const ChromeEvents&) = delete;
  ChromeEvents& operator=(const ChromeEvents&) = delete;

  /// Names a process, which is a group of lanes, and places it among the others.
  void name_process(std::uint32_t process, std::string_view name, std::uint64_t place) {
    describe("process", {process, 0}, name, place);
  }
  /// Names a lane, and places it in its process.
  void name_lane(Lane lane, std::string_view name, std::uint64_t place) {
    describe("thread", lane, name, place);
  }

  /// Something that took its time; `length` may be 0.
  void slice(Lane lane, std::string_view name, Time begin, Time length, Arguments arguments = {}) {
    open('X', lane, name, begin);
    buffer_ += ",\"dur\":";
    add_time(length);
    close_event(arguments);
  }
  /// Something that happened on a lane or, if `to_all`, to all of them.
  void instant(Lane lane, std::string_view name, Time when, bool to_all = false,
               Arguments arguments = {}) {
    open('i', lane, name, when);
    buffer_ += to_all ? ",\"s\":\"g\"" : ",\"s\":\"t\"";
    close_event(arguments);
  }
  /// An arrow begins at the slice that was written last on the lane, and has this time.
  void flow_begin(Lane lane, std::string_view name, std::uint64_t id, Time when) {
    flow('s', lane, name, id, when);
  }
  /// The arrow ends, likewise.
  void flow_end(Lane lane, std::string_view name, std::uint64_t id, Time when) {
    flow('f', lane, name, id, when);
  }
  /// A number has this value from now on. One that is not finite is left out.
  void counter(std::uint32_t process, std::string_view name, Time when, double value) {
    if (!std::isfinite(value)) return;
    open('C', {process, 0}, name, when);
    close_event({{"value", value}});
  }

  /// For programs that read the trace; viewers do not show it.
  void remark(std::string_view name, Arguments arguments) {
    open('M', {1, 0}, name, Time(0));
    close_event(arguments);
  }

 protected:
  ChromeEvents() = default;
  ~ChromeEvents() = default;

  /// What was written since the last call.
  [[nodiscard]] std::string take() { return std::exchange(buffer_, {}); }

 private:
  /// An event was written; so many bytes are there.
  virtual void written(std::size_t /*bytes*/) {}

  void open(char kind, Lane lane, std::string_view name, Time when) {
    buffer_ += ",\n{\"ph\":\"";
    buffer_ += kind;
    buffer_ += "\",\"cat\":\"gossamer\",\"pid\":";  // some viewers want a category of each
    add_number(lane.process);
    if (lane.thread > 0) {
      buffer_ += ",\"tid\":";
      add_number(lane.thread);
    }
    buffer_ += ",\"ts\":";
    add_time(when);
    buffer_ += ",\"name\":";
    add_text(name);
  }
  void close_event(Arguments arguments) {
    const char* separator = ",\"args\":{";
    for (const Argument& argument : arguments) {
      buffer_ += separator;
      add_text(argument.name);
      buffer_ += ':';
      std::visit([this](const auto& value) { this->add(value); }, argument.value);
      separator = ",";
    }
    buffer_ += arguments.size() > 0 ? "}}" : "}";
    written(buffer_.size());
  }
  void flow(char kind, Lane lane, std::string_view name, std::uint64_t id, Time when) {
    open(kind, lane, name, when);
    buffer_ += ",\"id\":";
    add_number(id);
    if (kind == 'f') buffer_ += ",\"bp\":\"e\"";  // the slice around it, not the next one
    close_event({});
  }
  void describe(const char* what, Lane lane, std::string_view name, std::uint64_t place) {
    open('M', lane, what + std::string("_name"), Time(0));
    close_event({{"name", name}});
    open('M', lane, what + std::string("_sort_index"), Time(0));
    close_event({{"sort_index", place}});
  }

  void add(double value) {
    if (std::isfinite(value)) {
      add_number(value);
    } else {
      buffer_ += "null";
    }
  }
  void add(std::uint64_t value) { add_number(value); }
  void add(std::string_view text) { add_text(text); }

  template <class Number>
  void add_number(Number number) {
    std::array<char, 32> digits;  // the longest double has 24
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    buffer_.append(digits.data(), end);
  }
  /// Microseconds with three places, exactly.
  void add_time(Time time) {
    std::array<char, 40> digits;
    const auto count = std::snprintf(digits.data(), digits.size(), "%lld.%03lld",
                                     static_cast<long long>(time.count() / 1000),
                                     static_cast<long long>(time.count() % 1000));
    buffer_.append(digits.data(), static_cast<std::size_t>(count));
  }
  void add_text(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    buffer_ += '"';
    for (const char c : text) {
      const auto code = static_cast<unsigned char>(c);
      if (code < 0x20) {
        buffer_ += "\\u00";
        buffer_ += digits[code >> 4U];
        buffer_ += digits[code & 15U];
      } else {
        if (c == '"' || c == '\\') buffer_ += '\\';
        buffer_ += c;
      }
    }
    buffer_ += '"';
  }

  std::string buffer_;
};

/// A file of events. What is written goes to a temporary file, which has its name when `close()`
/// has returned; without `close()` there is no file. An error while writing is kept until then.
///
/// Cost     as `ChromeEvents`, written 64 KiB at a time.
/// Threads  one at a time.
/// Throws   std::runtime_error from the constructor and from `close()`: the file, the operation and
///          the system's reason.
class ChromeTrace final : public ChromeEvents {
 public:
  explicit ChromeTrace(const std::filesystem::path& path) : file_(path) { write("["); }

  /// Ends the file and puts it in place. Nothing can be written after it.
  void close() {
    flush();
    write("\n]\n");
    if (!error_.empty()) throw std::runtime_error(error_);
    file_.commit();
  }

 private:
  static constexpr std::size_t most_buffered = std::size_t{1} << 16U;

  void written(std::size_t bytes) override {
    if (bytes >= most_buffered) flush();
  }
  void flush() {
    const std::string events = take();
    const bool is_first = !events.empty() && std::exchange(is_first_, false);
    write(std::string_view(events).substr(is_first ? 1 : 0));  // no comma
  }
  void write(std::string_view text) {
    if (!error_.empty()) return;
    try {
      file_.write(text);
    } catch (const std::runtime_error& error) {
      error_ = error.what();
    }
  }

  FileReplacement file_;
  bool is_first_ = true;
  std::string error_;  // the first one
};

}  // namespace gossamer::observe
