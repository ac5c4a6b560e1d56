// SPDX-License-Identifier: MIT
/// The ledgers of ledger gossip: one vector per link, equal at both ends when nothing is under way.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/detail/ledger_numbers.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace gossamer::rule::detail {

/// 64 bits that tell vectors apart, the same on all machines of one byte order; never 0. Not for
/// secrets: two different vectors that somebody has chosen may have the same.
inline std::uint64_t fingerprint(const model::Flat& flat) {
  constexpr std::uint64_t multiplier = 0x9e3779b97f4a7c15U;
  std::uint64_t hash = multiplier;
  const auto take = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * multiplier;
    hash ^= hash >> 29U;
  };
  for (const at::Tensor& segment : flat.segments()) {
    const at::Tensor cpu = segment.to(at::kCPU);
    const auto* bytes = static_cast<const char*>(cpu.data_ptr());
    const std::size_t size = cpu.nbytes();
    for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + at, std::min(sizeof word, size - at));
      take(word);
    }
    take(size);
  }
  return hash | 1U;
}

/// One end of a link's ledger.
struct Ledger {
  std::uint64_t opening = 0;  ///< the number of its opening, the same at both ends; never 0
  std::uint64_t used = 0;     ///< when it was last used
  KeptFlat z;
};

/// The ledgers of one node, at most `most` of them: one more, and that which was not used for the
/// longest time is closed. Threads: as a rule. Throws ConfigError for `most` = 0.
class Ledgers {
 public:
  explicit Ledgers(std::size_t most, bool integers) : most_(most), numbers_(integers) {
    if (most == 0) throw ConfigError("LedgerGossip: max_links must be at least 1, got 0");
  }

  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }
  /// How they are added to.
  [[nodiscard]] LedgerNumbers& numbers() noexcept { return numbers_; }
  /// For those who only look on: this does not count as a use.
  Ledger* peek(PeerId peer) {
    const auto found = open_.find(peer);
    return found == open_.end() ? nullptr : &found->second;
  }
  /// That of the link to a peer; null if it is closed. Valid until it, or another one, is opened.
  Ledger* find(PeerId peer) {
    Ledger* const ledger = peek(peer);
    if (ledger != nullptr) ledger->used = ++clock_;
    return ledger;
  }
  /// Only if it is of that opening.
  Ledger* find(PeerId peer, std::uint64_t opening) {
    Ledger* const ledger = find(peer);
    return ledger != nullptr && ledger->opening == opening ? ledger : nullptr;
  }
  /// Begins the link to a peer, anew if it is open, with the numbers of `z`.
  Ledger& open(RuleContext& context, PeerId peer, std::uint64_t opening, const model::Flat& z) {
    if (!open_.contains(peer) && open_.size() == most_) {
      open_.erase(std::min_element(open_.begin(), open_.end(), [](const auto& a, const auto& b) {
        return a.second.used < b.second.used;
      }));
    }
    Ledger& ledger = closed(peer);
    ledger.opening = opening;
    ledger.used = ++clock_;
    numbers_.copy(ledger.z.get(context), z);
    return ledger;
  }
  void close(PeerId peer) { open_.erase(peer); }

  void checkpoint(Archive& archive) {
    std::vector<PeerId> peers;
    std::vector<std::uint64_t> openings;
    for (const auto& [peer, ledger] : open_) {
      peers.push_back(peer);
      openings.push_back(ledger.opening);
    }
    archive("links", peers);
    archive("openings", openings);
    if (archive.loading()) {
      if (peers.size() != openings.size()) {
        throw CheckpointError(c10::str("checkpoint: ", peers.size(),
                                       " links of ledger gossip have ", openings.size(),
                                       " openings"));
      }
      open_.clear();
      for (std::size_t i = 0; i < peers.size(); ++i) closed(peers[i]).opening = openings[i];
    }
    for (auto& [peer, ledger] : open_) ledger.z.checkpoint(archive, "z/" + std::to_string(peer));
    numbers_.checkpoint(archive);
  }

 private:
  /// The ledger of a link that is to be opened.
  Ledger& closed(PeerId peer) {
    return open_.try_emplace(peer, Ledger{.opening = 0, .used = 0, .z = numbers_.ledger()})
        .first->second;
  }

  std::size_t most_;
  LedgerNumbers numbers_;
  std::uint64_t clock_ = 0;
  std::map<PeerId, Ledger> open_;
};

}  // namespace gossamer::rule::detail
