// SPDX-License-Identifier: MIT
/// Rules that conserve a sum of all models whatever the code, for the sweep of faults.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/int4.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/rule/coded_push.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/topology/complete.hpp>

#include <tests/simulation/fault_sweep.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tests::sweep {

/// A rule, and by how much it has moved all models of all nodes, the dead ones included. Joins are
/// the engine's, and do not count.
template <class Base>
class Accounted final : public Base {
 public:
  using Context = gossamer::rule::RuleContext;
  using Numbers = Mass (*)(Base&, Context&);

  Accounted(Base rule, Numbers count, std::shared_ptr<Mass> moved)
      : Base(std::move(rule)), count_(count), moved_(std::move(moved)) {}

  bool may_step(Context& context) override {
    bool yes = false;
    book(context, [&] { yes = Base::may_step(context); });
    return yes;
  }
  void before_step(Context& context) override {
    book(context, [&] { Base::before_step(context); });
  }
  void after_step(Context& context) override {
    book(context, [&] { Base::after_step(context); });
  }
  void on_messages(Context& context, std::span<const Message> messages) override {
    book(context, [&] { Base::on_messages(context, messages); });
  }
  void on_returned(Context& context, const Message& message) override {
    book(context, [&] { Base::on_returned(context, message); });
  }
  void on_peer_left(Context& context, const gossamer::transport::PeerLeft& gone) override {
    book(context, [&] { Base::on_peer_left(context, gone); });
  }
  void on_leave(Context& context) override {
    book(context, [&] { Base::on_leave(context); });
  }

 private:
  template <class Hook>
  void book(Context& context, Hook hook) {
    add(*moved_, count_(*this, context), -1);
    hook();
    add(*moved_, count_(*this, context));
  }

  Numbers count_;
  std::shared_ptr<Mass> moved_;
};

/// A codec, and what of a message is a number under way.
class SumSubject : public Subject {
 public:
  explicit SumSubject(gossamer::codec::AnyCodec codec)
      : codec_(std::move(codec)),
        model_({{{"tensor 0", torch::zeros({2}, torch::kDouble)}}, {}}),
        decoded_(model_.flat().clone()) {}

  [[nodiscard]] Mass of_node(const Still& node) const override { return {node.weight(), 0, 0}; }
  [[nodiscard]] Mass rest() const override { return *moved_; }

 protected:
  [[nodiscard]] const gossamer::codec::AnyCodec& codec() const { return codec_; }
  [[nodiscard]] std::shared_ptr<Mass> moved() const { return moved_; }
  /// With so many times its numbers.
  [[nodiscard]] Mass coded(const Message& message, double factor) const {
    const auto error =
        gossamer::codec::decode(message.code.bytes(), model_.layout(), *codec_, decoded_);
    const double* q = decoded_.segments()[0].data_ptr<double>();
    if (error) return {message.weight, std::nan(""), 0};
    return {message.weight, factor * q[0], factor * q[1]};
  }

 private:
  gossamer::codec::AnyCodec codec_;
  gossamer::model::FlatModel model_;
  gossamer::model::Flat decoded_;
  std::shared_ptr<Mass> moved_ = std::make_shared<Mass>();
};

/// Ledger gossip: exactly, if it counts in integers.
class LedgerSubject final : public SumSubject {
 public:
  /// Signs bring nodes together slowly on links of 50 kB/s.
  [[nodiscard]] Time end() const override { return 20s; }
  explicit LedgerSubject(bool integers)
      : SumSubject(gossamer::codec::TwoBits()), integers_(integers) {}

  [[nodiscard]] gossamer::rule::AnyRule rule() const override {
    using Rule = gossamer::rule::LedgerGossip;
    const auto numbers = [](Rule& rule, gossamer::rule::RuleContext& context) -> Mass {
      const auto counted = rule.counted(context).segments()[0];
      const std::int64_t* units = counted.data_ptr<std::int64_t>();
      return {0, in_numbers(units[0]), in_numbers(units[1])};
    };
    const auto plain = [](Rule& /*rule*/, gossamer::rule::RuleContext& context) -> Mass {
      const double* x = context.model().flat().segments()[0].data_ptr<double>();
      return {0, x[0], x[1]};
    };
    Rule rule;
    rule.codec(codec()).graph(gossamer::topology::Complete()).integers(integers_);
    return Accounted<Rule>(rule, integers_ ? +numbers : +plain, moved());
  }
  [[nodiscard]] Mass of_message(const Message& message) const override {
    using Kind = gossamer::rule::LedgerGossip::Kind;
    if (message.kind != Kind::code && message.kind != Kind::refused) return {message.weight, 0, 0};
    Mass mass = coded(message, 0.5);
    for (std::size_t i = 1; integers_ && i < mass.size(); ++i) {
      mass[i] = in_numbers(static_cast<std::int64_t>(std::nearbyint(std::ldexp(mass[i], 24))));
    }
    return mass;
  }
  [[nodiscard]] double tolerance() const override { return integers_ ? 0 : 1e-12; }

 private:
  static double in_numbers(std::int64_t units) {
    return std::ldexp(static_cast<double>(units), -24);
  }
  bool integers_;
};

/// Elastic gossip in code: an answer under way stands for -d.
class ElasticSubject final : public SumSubject {
 public:
  [[nodiscard]] Time end() const override { return 9s; }
  ElasticSubject() : SumSubject(gossamer::codec::TwoBits()) {}

  [[nodiscard]] gossamer::rule::AnyRule rule() const override {
    using Rule = gossamer::rule::ElasticGossip;
    const auto plain = [](Rule& /*rule*/, gossamer::rule::RuleContext& context) -> Mass {
      const double* x = context.model().flat().segments()[0].data_ptr<double>();
      return {0, x[0], x[1]};
    };
    return Accounted<Rule>(Rule(0.4).codec(codec()), +plain, moved());
  }
  [[nodiscard]] Mass of_message(const Message& message) const override {
    if (message.kind != gossamer::rule::ElasticExchange::answer) return {message.weight, 0, 0};
    return coded(message, -1);
  }
  [[nodiscard]] double tolerance() const override { return 1e-12; }
};

/// GoSGD in code: what a push says is known to its sender, for as long as it is under way.
class PushSubject final : public Subject {
 public:
  [[nodiscard]] Time end() const override { return 9s; }

  [[nodiscard]] gossamer::rule::AnyRule rule() const override {
    return Watched(gossamer::rule::CodedGoSgd(gossamer::rule::GoSgd(0.4), gossamer::codec::Int4()),
                   said_);
  }
  [[nodiscard]] Mass of_message(const Message& message) const override {
    using Kind = gossamer::rule::detail::PushLinks::Kind;
    if (!message.code) return Subject::of_message(message);
    const bool is_back = message.kind == Kind::bounced;
    const auto& said = said_->at(is_back ? std::pair(message.to, message.from)
                                         : std::pair(message.from, message.to));
    return mass_of(message.weight, said.data());
  }

 private:
  using Said = std::map<std::pair<PeerId, PeerId>, std::array<double, 2>>;

  class Watched final : public gossamer::rule::CodedGoSgd {
   public:
    using Rule = gossamer::rule::CodedGoSgd;
    Watched(Rule rule, std::shared_ptr<Said> said)
        : Rule(std::move(rule)), said_(std::move(said)) {}

   protected:
    void push(gossamer::rule::RuleContext& context, PeerId to) override {
      Rule::push(context, to);
      const auto q = on_its_way(context, to);
      const double* numbers = q.segments()[0].data_ptr<double>();
      (*said_)[{context.self(), to}] = {numbers[0], numbers[1]};
    }

   private:
    std::shared_ptr<Said> said_;
  };

  std::shared_ptr<Said> said_ = std::make_shared<Said>();
};

}  // namespace tests::sweep
