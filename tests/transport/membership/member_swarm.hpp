// SPDX-License-Identifier: MIT
/// Members of a swarm on a network in memory, as tests make them, and what they have to say.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/transport/membership/membership.hpp>

#include <tests/support.hpp>
#include <tests/transport/membership/membership_network.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tests::members {

/// Members that set_model_layout themselves and poll what comes.
struct Swarm {
  explicit Swarm(std::uint64_t seed = tests::seed) : network(seed) {}

  Endpoint& begin(MembershipOptions options, const std::string& model = "model\n") {
    network.add(std::move(options));
    ends.push_back(std::make_unique<Endpoint>(network, network.size() - 1));
    if (!model.empty()) ends.back()->set_model_layout(model, gossamer::model::Flat());
    return *ends.back();
  }
  void pass(Time time = 100ms) { network.run_until(network.now() + time); }
  std::vector<Event> events(std::size_t at) {
    std::vector<Event> all;
    while (auto event = ends[at]->poll()) all.push_back(std::move(*event));
    return all;
  }
  /// All that a member had to tell its user.
  std::string notes(std::size_t at) {
    std::string all;
    for (const MembershipNote& note : network.member(at).notes()) all += note.text + "\n";
    return all;
  }

  Network network;
  std::vector<std::unique_ptr<Endpoint>> ends;
};

inline MembershipOptions knowing(PeerId number, std::vector<std::string> contacts) {
  MembershipOptions options = options_of(number);
  options.contacts = std::move(contacts);
  return options;
}

/// One of those with which a run begins; all but the first know the first one.
inline MembershipOptions founder(PeerId number, std::uint32_t world_size) {
  MembershipOptions options = options_of(number);
  options.world_size = world_size;
  if (number > 0) options.contacts = {Network::address(0)};
  return options;
}

}  // namespace tests::members
