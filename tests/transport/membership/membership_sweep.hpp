// SPDX-License-Identifier: MIT
/// Members that die, come back, leave, join and lose each other at random, while weight moves.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/snapshot.hpp>

#include <tests/support.hpp>
#include <tests/transport/membership/membership_network.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tests::members {

/// One schedule. Each message has a number; where it ends is looked up in one table that knows all,
/// so what is delivered twice, or delivered and returned, is seen at once.
class Sweep {
 public:
  explicit Sweep(std::uint64_t seed)
      : random_(seed, 3),
        is_narrow_(seed % 2 == 0),
        network_(seed),
        pool_(gossamer::model::Flat({torch::zeros({2})})) {}

  /// The first promise that did not hold; empty if all did.
  std::string run() {
    const PeerId world_size = 2 + random_.below(4);
    for (PeerId i = 0; i < world_size; ++i) begin(i, 1.0 / world_size);
    network_.run_until(200ms);
    const std::uint32_t steps = 100 + random_.below(300);
    for (std::uint32_t i = 0; i < steps && broken_.empty(); ++i) {
      act();
      network_.run_until(network_.now() + Time(random_.below(8'000'000)));
      check_total();
    }
    for (std::size_t i = 0; i < network_.size(); ++i) network_.part(i, 0);
    for (int round = 0; round < 60 && broken_.empty(); ++round) {
      network_.run_until(network_.now() + 50ms);
      for (Life& life : lives_) poll(life, 1000);
    }
    check_end();
    return broken_;
  }

  std::size_t delivered = 0;
  std::size_t returned = 0;
  std::size_t deaths = 0;
  [[nodiscard]] std::uint64_t dropped() const { return network_.dropped; }

 private:
  struct Life {
    std::size_t place = 0;
    double weight = 0;
    bool alive = true;  // and has not closed its end
    std::unique_ptr<Endpoint> end;
  };
  struct Sent {
    std::size_t from = 0;  // a life
    PeerId to = 0;
    double weight = 0;
  };

  void fail(const std::string& why) {
    if (broken_.empty()) broken_ = why;
  }

  void begin(PeerId number, double weight) {
    MembershipOptions options = options_of(number);
    options.incarnation = ++incarnations_;
    options.limits.messages = 3;
    if (is_narrow_) {  // offers are asked for, and there is room for one
      options.limits.eager = 0;
      options.limits.budget = options.limits.budget_messages = 1;
    }
    for (std::size_t i = 0; i < network_.size(); ++i) {
      if (network_.is_running(i)) options.contacts.push_back(Network::address(i));
    }
    Life life;
    life.place = network_.add(options);
    life.weight = weight;
    life.end = std::make_unique<Endpoint>(network_, life.place);
    life.end->set_model_layout("model", gossamer::model::Flat());
    lives_.push_back(std::move(life));
  }

  [[nodiscard]] std::size_t any_alive() {
    std::vector<std::size_t> alive;
    for (std::size_t i = 0; i < lives_.size(); ++i) {
      if (lives_[i].alive) alive.push_back(i);
    }
    return alive[random_.below(static_cast<std::uint32_t>(alive.size()))];
  }
  [[nodiscard]] std::size_t count_alive() const {
    return static_cast<std::size_t>(
        std::count_if(lives_.begin(), lives_.end(), [](const Life& life) { return life.alive; }));
  }

  void act() {
    const std::size_t at = any_alive();
    Life& life = lives_[at];
    const std::uint32_t what = random_.below(100);
    if (what < 50) {
      send(at, 0.5);
    } else if (what < 80) {
      poll(life, 1 + random_.below(4));
    } else if (what < 90) {
      network_.reset(life.place, lives_[any_alive()].place);
    } else if (what < 92) {
      network_.part(life.place, static_cast<int>(random_.below(2)));
    } else if (what < 94) {
      for (std::size_t i = 0; i < network_.size(); ++i) network_.part(i, 0);
    } else if (what < 96 && count_alive() > 2) {
      kill(life);
    } else if (what < 97 && count_alive() > 2) {
      send(at, 1);
      life.end->close(Reason::left);
      life.alive = false;
    } else if (what < 99 && lives_.size() < 14) {
      const Life& old = lives_[random_.below(static_cast<std::uint32_t>(lives_.size()))];
      const PeerId number = old.end->self();
      const bool runs = std::any_of(lives_.begin(), lives_.end(), [&](const Life& one) {
        return one.end->self() == number && network_.is_running(one.place);
      });
      if (runs) {
        begin(static_cast<PeerId>(100 + lives_.size()), 0);
      } else {
        begin(number, 0);  // it comes back
      }
    }
  }

  void kill(Life& life) {
    ++deaths;
    life.alive = false;
    network_.kill(life.place);
  }

  void send(std::size_t at, double part) {
    Life& life = lives_[at];
    const auto peers = life.end->peers();
    if (peers.empty()) return;
    const double moved = life.weight * part;
    life.weight -= moved;
    const PeerId to = peers[random_.below(static_cast<std::uint32_t>(peers.size()))];
    sent_[++numbers_] = {at, to, moved};
    life.end->send({.to = to, .round = numbers_, .weight = moved, .payload = pool_.take()});
  }

  void poll(Life& life, std::uint32_t most) {
    while (life.alive && most-- > 0) {
      const auto event = life.end->poll();
      if (!event) return;
      if (const auto* delivered_one = std::get_if<Delivered>(&*event)) {
        ++delivered;
        take(life, delivered_one->message, delivered_one->message.to);
      } else if (const auto* returned_one = std::get_if<Returned>(&*event)) {
        ++returned;
        take(life, returned_one->message, returned_one->message.from);
      }
    }
  }

  void take(Life& life, const Message& message, PeerId where) {
    const auto found = sent_.find(message.round);
    if (found == sent_.end()) return fail("a message ends twice");
    if (where != life.end->self()) return fail("a message is at the wrong node");
    if (message.weight != found->second.weight) return fail("a weight has changed");
    life.weight += message.weight;
    sent_.erase(found);
  }

  void check_total() {
    double sum = 0;
    for (const Life& life : lives_) sum += life.weight;
    for (const auto& [number, message] : sent_) sum += message.weight;
    if (!(std::abs(sum - 1) < tests::weight_tolerance)) fail("the weights' sum is not 1");
  }

  void check_end() {
    check_total();
    // A message may be missing only if its sender, or some life of its receiver, is gone.
    for (const auto& [number, message] : sent_) {
      bool gone = !lives_[message.from].alive;
      for (const Life& life : lives_) {
        gone = gone || (life.end->self() == message.to && !life.alive);
      }
      if (!gone) fail("message " + std::to_string(number) + " between two that live is missing");
    }
    for (const Life& life : lives_) {
      if (!life.alive) continue;
      if (life.end->peers().size() != count_alive() - 1) {
        fail("node " + std::to_string(life.end->self()) + " has " +
             std::to_string(life.end->peers().size()) + " peers of " +
             std::to_string(count_alive() - 1));
      }
    }
    for (Life& life : lives_) {
      if (life.alive) life.end->finish();
    }
    bool all = false;
    for (int round = 0; round < 100 && !all; ++round) {
      network_.run_until(network_.now() + 20ms);
      all = true;
      for (Life& life : lives_) {
        poll(life, 1000);
        if (life.alive && !life.end->settled()) all = false;
      }
    }
    if (!all) fail("somebody does not settle");
  }

  Generator random_;
  bool is_narrow_;
  Network network_;
  gossamer::model::SnapshotPool pool_;
  std::vector<Life> lives_;
  std::map<std::uint64_t, Sent> sent_;
  std::uint64_t numbers_ = 0;
  std::uint64_t incarnations_ = 0;
  std::string broken_;
};

}  // namespace tests::members
