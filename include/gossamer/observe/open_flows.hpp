// SPDX-License-Identifier: MIT
/// Tells which of the messages that were sent it is that arrives.
#pragma once

#include <gossamer/transport/message.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace gossamer::observe {

/// Numbers the messages that nodes send: 1, 2, ... A message carries no number of its own, so one
/// that arrives is told from others by all that it has. If several are alike, it is the first of
/// them that is delivered, as messages of one sender come in their order, or the last one that
/// comes back. O(messages under way between two nodes), those that were lost included.
class OpenFlows {
 public:
  /// A message is sent; its number.
  std::uint64_t open(const transport::Message& message) {
    open_[pair_of(message)].push_back({face_of(message), ++last_});
    return last_;
  }
  /// It has arrived, or is back; its number, or 0 if it was never sent.
  std::uint64_t close(const transport::Message& message, bool is_back) {
    const auto found = open_.find(pair_of(message));
    if (found == open_.end()) return 0;
    auto& flows = found->second;
    const auto is_it = [face = face_of(message)](const Flow& flow) { return flow.face == face; };
    auto it = std::find_if(flows.begin(), flows.end(), is_it);
    if (is_back) {
      const auto last = std::find_if(flows.rbegin(), flows.rend(), is_it);
      it = last == flows.rend() ? flows.end() : std::next(last).base();
    }
    if (it == flows.end()) return 0;
    const std::uint64_t number = it->number;
    flows.erase(it);
    if (flows.empty()) open_.erase(found);
    return number;
  }

 private:
  struct Face {
    std::uint32_t kind;
    std::uint64_t round;
    double weight;
    const void* content;  // where it lies, which it does until the last copy is gone

    bool operator==(const Face&) const = default;
  };
  struct Flow {
    Face face;
    std::uint64_t number;
  };

  static std::uint64_t pair_of(const transport::Message& message) {
    return std::uint64_t{message.from} << 32U | message.to;
  }
  static Face face_of(const transport::Message& message) {
    const void* const code = message.code.bytes().data();
    return {message.kind, message.round, message.weight,
            message.payload ? static_cast<const void*>(&*message.payload) : code};
  }

  std::unordered_map<std::uint64_t, std::vector<Flow>> open_;
  std::uint64_t last_ = 0;
};

}  // namespace gossamer::observe
