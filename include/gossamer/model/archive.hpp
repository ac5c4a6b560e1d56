// SPDX-License-Identifier: MIT
/// What a checkpoint holds: named values, written and read by the same calls.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossamer {

/// A set of named values. The same function saves and restores:
///
///     void checkpoint(Archive& archive) { archive("step", step_); archive("velocity", velocity_);
///     }
///
/// copies the values into the archive when it is saving and out of it when it is `loading()`.
/// Values may be arithmetic types, enums, strings (any bytes), vectors of arithmetic types, tensors
/// (whose shape and dtype must be there already) and generators. Numbers are kept in this machine's
/// byte order; `save_archive` refuses to read another's. Throws CheckpointError, when loading, for
/// a name that is missing or of another size.
class Archive {
 public:
  /// An empty archive, for saving.
  Archive() = default;
  /// An archive to load from.
  explicit Archive(std::map<std::string, std::string> entries)
      : loading_(true), entries_(std::move(entries)) {}

  [[nodiscard]] bool loading() const noexcept { return loading_; }
  [[nodiscard]] const std::map<std::string, std::string>& entries() const noexcept {
    return entries_;
  }

  /// Whether there is a value of that name to load: those of an earlier release may lack it.
  [[nodiscard]] bool has(std::string_view name) const { return entries_.contains(key(name)); }

  /// Values under names of their own: "rule/", say, so that parts do not collide.
  template <class Function>
  void within(std::string_view prefix, Function function) {
    const std::string outer = std::exchange(prefix_, prefix_ + std::string(prefix) + "/");
    function();
    prefix_ = outer;
  }

  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void operator()(std::string_view name,
                                                                         T& value) {
    bytes(name, &value, sizeof value);
  }

  void operator()(std::string_view name, bool& value) {
    auto byte = static_cast<unsigned char>(value);
    (*this)(name, byte);
    value = byte != 0;  // whatever byte a file has there
  }

  void operator()(std::string_view name, std::string& value) {
    if (loading_) {
      value = find(name);
    } else {
      entries_[key(name)] = value;
    }
  }

  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(std::string_view name, std::vector<T>& values) {
    if (loading_) values.resize(find(name).size() / sizeof(T));
    bytes(name, values.data(), values.size() * sizeof(T));
  }

  void operator()(std::string_view name, const at::Tensor& tensor) {
    const at::Tensor cpu = tensor.detach().to(at::kCPU).contiguous();
    bytes(name, cpu.data_ptr(), cpu.nbytes());
    if (loading_ && !cpu.is_alias_of(tensor)) tensor.detach().copy_(cpu);
  }

  void operator()(std::string_view name, Generator& generator) {
    Generator::State state = generator.state();
    within(name, [&] {
      (*this)("seed", state.seed);
      (*this)("stream", state.stream);
      (*this)("drawn", state.drawn);
    });
    if (loading_) generator = Generator(state);
  }

 private:
  [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }

  [[nodiscard]] const std::string& find(std::string_view name) const {
    const auto found = entries_.find(key(name));
    if (found == entries_.end()) {
      throw CheckpointError("checkpoint: expected a value \"" + key(name) + "\", found none");
    }
    return found->second;
  }

  void bytes(std::string_view name, void* data, std::size_t size) {
    if (!loading_) {
      entries_[key(name)] = std::string(static_cast<const char*>(data), size);
      return;
    }
    const std::string& stored = find(name);
    if (stored.size() != size) {
      throw CheckpointError("checkpoint: \"" + key(name) + "\" must have " + std::to_string(size) +
                            " bytes, got " + std::to_string(stored.size()));
    }
    if (size > 0) std::memcpy(data, stored.data(), size);
  }

  bool loading_ = false;
  std::string prefix_;
  std::map<std::string, std::string> entries_;
};

}  // namespace gossamer
