// SPDX-License-Identifier: MIT
/// Numbers and texts as bytes: little-endian, nothing between them, lengths before texts.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace gossamer::transport::wire {

static_assert(std::endian::native == std::endian::little,
              "Gossamer's frames and payloads are little-endian, and so must be the machine");

/// Appends values to a buffer. `Reader` has the same operations, so that what a frame holds is
/// written down once, for both ways.
class Writer {
 public:
  explicit Writer(std::vector<std::byte>& to) : to_(to) {}

  template <class Number>
  requires std::unsigned_integral<Number> || std::same_as<Number, double>
  void operator()(Number value) {
    if constexpr (std::same_as<Number, bool>) {
      to_.push_back(std::byte{value});
    } else {
      bytes(&value, sizeof value);
    }
  }
  /// One of an enumeration whose values are 0, 1, ..., `last`.
  template <class Enum>
  requires std::is_enum_v<Enum>
  void choice(Enum value, Enum /*last*/) { to_.push_back(static_cast<std::byte>(value)); }
  /// A text of at most `limit` bytes; what is beyond them is cut off.
  void text(const std::string& value, std::size_t limit) {
    const std::size_t length = value.size() < limit ? value.size() : limit;
    (*this)(static_cast<std::uint32_t>(length));
    bytes(value.data(), length);
  }
  /// A list of at most `limit` elements, each of at least `least` bytes, written by `one(element)`.
  template <class Element, class One>
  void list(const std::vector<Element>& all, std::size_t /*limit*/, std::size_t /*least*/,
            One one) {
    (*this)(static_cast<std::uint32_t>(all.size()));
    for (const Element& element : all) one(element);
  }

 private:
  void bytes(const void* from, std::size_t count) {
    const auto* first = static_cast<const std::byte*>(from);
    to_.insert(to_.end(), first, first + count);
  }

  std::vector<std::byte>& to_;
};

/// Reads values from bytes that anybody may have written. After the first one that is not there, or
/// cannot be, all are zero and `good()` is false. No length is believed before the bytes are there.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> from) : rest_(from) {}

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::size_t rest() const { return rest_.size(); }

  template <class Number>
  requires std::unsigned_integral<Number> || std::same_as<Number, double>
  void operator()(Number& value) {
    if constexpr (std::same_as<Number, bool>) {
      std::uint8_t byte = 0;
      (*this)(byte);
      good_ = good_ && byte <= 1;
      value = good_ && byte == 1;
    } else {
      value = 0;
      bytes(&value, sizeof value);
    }
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void choice(Enum& value, Enum last) {
    std::uint8_t byte = 0;
    (*this)(byte);
    good_ = good_ && byte <= static_cast<std::uint8_t>(last);
    value = static_cast<Enum>(good_ ? byte : 0);
  }
  void text(std::string& value, std::size_t limit) {
    std::uint32_t length = 0;
    (*this)(length);
    good_ = good_ && length <= limit && length <= rest_.size();
    value.resize(good_ ? length : 0);
    bytes(value.data(), value.size());
  }
  template <class Element, class One>
  void list(std::vector<Element>& all, std::size_t limit, std::size_t least, One one) {
    std::uint32_t count = 0;
    (*this)(count);
    good_ = good_ && count <= limit && count <= rest_.size() / least;
    all.clear();
    for (std::uint32_t i = 0; i < count && good_; ++i) one(all.emplace_back());
  }

 private:
  void bytes(void* to, std::size_t count) {
    good_ = good_ && count <= rest_.size();
    if (!good_ || count == 0) return;
    std::memcpy(to, rest_.data(), count);
    rest_ = rest_.subspan(count);
  }

  std::span<const std::byte> rest_;
  bool good_ = true;
};

}  // namespace gossamer::transport::wire
