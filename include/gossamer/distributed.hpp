// SPDX-License-Identifier: MIT
/// A training program in any number of processes, on any machines, in three lines. Needs OpenSSL
/// and xxHash (the target gossamer::tcp), and includes no rule but the one of the papers.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/launch/tcp_launch.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/node/gossip.hpp>
#include <gossamer/node/rendezvous.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/transport/tcp.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// What `join_run` takes from code. What is set here wins over the environment.
struct RunOptions {
  TORCH_ARG(NodeOptions, node) = {};
  /// This process's number and how many the run begins with; else as the launcher says.
  TORCH_ARG(std::optional<PeerId>, rank) = std::nullopt;
  TORCH_ARG(std::optional<std::uint32_t>, world_size) = std::nullopt;
  /// See `transport::TcpOptions`.
  TORCH_ARG(std::vector<std::string>, contacts) = {};
  TORCH_ARG(std::string, listen) = "";
  TORCH_ARG(std::string, advertise) = "";
  TORCH_ARG(std::string, run) = "";
  TORCH_ARG(std::optional<transport::Security>, security) = std::nullopt;
  /// How long nodes wait for each other at the start, and a newcomer for a member; > 0.
  TORCH_ARG(std::optional<std::chrono::seconds>, rendezvous_timeout) = std::nullopt;
  /// The environment; another one in tests.
  TORCH_ARG(launch::Variables, variables) = launch::process_variables();
};

namespace detail {

/// Reads GOSSAMER_* where the options are silent. Throws ConfigError that names the variable.
class RunEnvironment {
 public:
  explicit RunEnvironment(const RunOptions& options)
      : options_(options), read_(options.variables()) {}

  /// Refuses a transport that this header does not have.
  void check_transport() const {
    const std::string transport = read_.get("GOSSAMER_TRANSPORT");
    if (transport.empty() || transport == "tcp") return;
    throw ConfigError(
        "GOSSAMER_TRANSPORT must be tcp, is \"" + transport +
        (transport == "mpi" ? "\"; for MPI make an MpiGroup (node/mpi_group.hpp)" : "\""));
  }

  /// All but number and world size where a launcher says them.
  [[nodiscard]] transport::TcpOptions tcp() const {
    transport::TcpOptions made;
    made.contacts(options_.contacts().empty() ? contacts() : options_.contacts());
    made.listen(address(options_.listen(), "GOSSAMER_LISTEN", made.listen()));
    made.advertise(address(options_.advertise(), "GOSSAMER_ADVERTISE", ""));
    if (read_.has("GOSSAMER_RUN")) made.run(read_.get("GOSSAMER_RUN"));
    if (!options_.run().empty()) made.run(options_.run());
    made.security(options_.security() ? *options_.security() : security());
    made.world_size(options_.world_size().value_or(0));
    made.logger(options_.node().logger());
    return made;
  }
  [[nodiscard]] std::uint16_t port() const {
    if (!read_.has("GOSSAMER_PORT")) return launch::default_port;
    return static_cast<std::uint16_t>(number("GOSSAMER_PORT", 65'535));
  }
  [[nodiscard]] std::chrono::seconds rendezvous_timeout() const {
    if (options_.rendezvous_timeout()) return *options_.rendezvous_timeout();
    if (!read_.has("GOSSAMER_RENDEZVOUS_SECONDS")) return std::chrono::seconds(60);
    return std::chrono::seconds(number("GOSSAMER_RENDEZVOUS_SECONDS", 1'000'000));
  }
  /// Whether somebody has said where to listen.
  [[nodiscard]] bool says_where() const {
    return !options_.listen().empty() || read_.has("GOSSAMER_LISTEN");
  }

 private:
  [[nodiscard]] std::uint32_t number(const char* variable, std::uint32_t most) const {
    const std::uint32_t value = launch::whole_number(variable, read_.get(variable), most);
    if (value == 0) throw ConfigError(std::string(variable) + " must not be 0");
    return value;
  }
  /// Puts the variable's name before what is wrong with its value.
  template <class Check>
  static void named(const std::string& variable, Check check) {
    try {
      check();
    } catch (const ConfigError& error) {
      throw ConfigError(variable + ": " + error.what());
    }
  }
  /// What an option says, else a variable that must hold an address, else neither.
  [[nodiscard]] std::string address(const std::string& option, const char* variable,
                                    const std::string& otherwise) const {
    if (!option.empty() || !read_.has(variable)) return option.empty() ? otherwise : option;
    named(variable, [&] { (void)transport::HostPort::parse(read_.get(variable)); });
    return read_.get(variable);
  }

  [[nodiscard]] std::vector<std::string> contacts() const {
    std::vector<std::string> all;
    std::string text = read_.get("GOSSAMER_CONTACT");
    while (!text.empty()) {
      const std::size_t comma = std::min(text.find(','), text.size());
      all.push_back(text.substr(0, comma));
      text.erase(0, comma + 1);
      named("GOSSAMER_CONTACT", [&] {
        if (transport::HostPort::parse(all.back()).port == 0) {
          throw ConfigError("a contact must have a port, got " + all.back());
        }
      });
    }
    return all;
  }

  [[nodiscard]] transport::Security security() const {
    using transport::Security;
    const char* const files[] = {"GOSSAMER_AUTHORITY", "GOSSAMER_CERTIFICATE",
                                 "GOSSAMER_PRIVATE_KEY"};
    const bool has_key = read_.has("GOSSAMER_KEY");
    Security made = Security::none();
    std::string source = "GOSSAMER_KEY";
    if (has_key) made = Security::shared_key(read_.get("GOSSAMER_KEY"));
    for (const char* file : files) {
      if (!read_.has(file)) continue;
      if (has_key)
        throw ConfigError(std::string("GOSSAMER_KEY and ") + file + " exclude each other");
      for (const char* other : files) (void)read_.need(other, file);
      made = Security::certificates(read_.get(files[0]), read_.get(files[1]), read_.get(files[2]));
      source = "GOSSAMER_AUTHORITY, GOSSAMER_CERTIFICATE, GOSSAMER_PRIVATE_KEY";
    }
    if (const std::string insecure = read_.get("GOSSAMER_INSECURE"); !insecure.empty()) {
      if (insecure != "0" && insecure != "1") {
        throw ConfigError("GOSSAMER_INSECURE must be 0 or 1, is \"" + insecure + "\"");
      }
      source = "GOSSAMER_INSECURE beside a key";
      made.insecure(insecure == "1");
    }
    named(source, [&] { made.check(); });
    return made;
  }

  const RunOptions& options_;
  launch::VariableReader read_;
};

/// Asks `Signals` from the first question on: who never asks ends by a signal, as ever.
inline std::function<bool()> leave_on_signal() {
  return [signals = std::shared_ptr<Signals>()]() mutable {
    if (!signals) signals = std::make_shared<Signals>();
    return signals->received() != 0;
  };
}

}  // namespace detail

/// This process's place in a run, for a `Gossip`:
///
///     gossamer::Gossip gossip(gossamer::join_run(gossamer::rule::GoSgd(0.02)), model);
///     ... gossip.step(loss.item<double>());
///
/// How it begins follows from the environment, the launcher's (launch/launcher_env.hpp) and
/// GOSSAMER_* (the table is in node/README.md):
///
///     nothing is set           a group of one: the program runs as without Gossamer
///     a launcher's rank        one of those that the run begins with; waits for the others. One
///                              that is started again with its rank comes back: from a member's
///                              model, with half of its weight
///     a contact and no rank    a newcomer, which starts in the same way
///
/// Throws   ConfigError, naming the variable, if one makes no sense, or lacks another one that it
///          needs; and, with the last reason, if nobody is there in time.
/// Threads  the place is for the thread that uses the `Gossip`; TCP has one thread of its own.
inline Context join_run(const rule::AnyRule& rule, const RunOptions& options = {}) {
  const detail::RunEnvironment environment(options);
  environment.check_transport();
  const std::uint16_t port = environment.port();
  const std::chrono::milliseconds within = environment.rendezvous_timeout();
  transport::TcpOptions tcp_options = environment.tcp();
  if (options.rank()) {
    tcp_options.number(*options.rank());
    launch::refuse_to_wait_for_nobody(tcp_options, "give contacts, or listen on a port");
  } else {
    const auto launched = launch::launch_from(options.variables());
    const bool is_alone = !launched && tcp_options.contacts().empty() &&
                          tcp_options.world_size() <= 1 && !environment.says_where();
    if (is_alone) {
      return {transport::ThreadHub::make(1)->endpoint(0), rule, options.node(), 1,
              detail::leave_on_signal()};
    }
    const bool is_spread = launched && launched->size > 1 && !launched->is_one_machine;
    if (is_spread && !environment.says_where() &&
        tcp_options.security().kind() != transport::Security::Kind::none) {
      tcp_options.listen("0.0.0.0:0");
    }
    tcp_options = launch::tcp_place(options.variables(), port, std::move(tcp_options)).options;
  }
  transport::Tcp tcp(detail::agreed(tcp_options, rule));
  const bool begins =
      detail::rendezvous(tcp, tcp_options.world_size(), !tcp_options.contacts().empty(), within);
  const double nodes = std::max<std::uint32_t>(tcp_options.world_size(), 1);
  return {std::move(tcp), rule, options.node(), begins ? 1 / nodes : 0, detail::leave_on_signal(),
          within};
}

}  // namespace gossamer
