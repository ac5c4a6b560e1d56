// SPDX-License-Identifier: MIT
/// What `join_run` is told, by options and by GOSSAMER_* variables. Needs neither OpenSSL nor MPI.
#pragma once

#include <gossamer/distributed/options.hpp>
#include <gossamer/error.hpp>
#include <gossamer/launch/tcp_launch.hpp>
#include <gossamer/launch/variables.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/tcp/address_policy.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <gossamer/transport/tcp/options.hpp>

#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace gossamer::detail {

/// Reads GOSSAMER_* where the options are silent. Throws ConfigError that names the variable.
/// `options` must live as long.
class RunEnvironment {
 public:
  explicit RunEnvironment(const RunOptions& options)
      : options_(options), read_(options.variables()) {}

  [[nodiscard]] const RunOptions& options() const noexcept { return options_; }

  /// A text, and whose word it is; empty if nobody has said anything.
  struct Setting {
    std::string value;
    std::string name;
  };
  /// "tcp" or "mpi".
  [[nodiscard]] Setting transport() const {
    Setting said = setting(options_.transport(), "RunOptions::transport", "GOSSAMER_TRANSPORT");
    if (said.value.empty()) said.value = "tcp";
    if (said.value == "tcp" || said.value == "mpi") return said;
    throw ConfigError(said.name + " must be tcp or mpi, is \"" + said.value + "\"");
  }
  [[nodiscard]] Setting watch() const {
    return setting(options_.watch(), "RunOptions::watch", "GOSSAMER_WATCH");
  }
  [[nodiscard]] Setting watch_token() const {
    return setting(options_.watch_token(), "RunOptions::watch_token", "GOSSAMER_WATCH_TOKEN");
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
    listen_for(std::any_of(made.contacts().begin(), made.contacts().end(), is_elsewhere), made);
    made.world_size(options_.world_size().value_or(0));
    made.logger(options_.node().logger());
    return made;
  }
  /// Throws ConfigError if something is set that would be lost without TCP: a key, say.
  void refuse_what_is_for_tcp() const {
    const auto refuse = [](const std::string& name) {
      throw ConfigError(name +
                        " is for TCP, and the transport is mpi: MPI itself connects the "
                        "processes, and protects them or not");
    };
    if (!options_.contacts().empty()) refuse("RunOptions::contacts");
    if (!options_.listen().empty()) refuse("RunOptions::listen");
    if (!options_.advertise().empty()) refuse("RunOptions::advertise");
    if (!options_.run().empty()) refuse("RunOptions::run");
    if (options_.security()) refuse("RunOptions::security");
    for (const char* variable :
         {"GOSSAMER_CONTACT", "GOSSAMER_LISTEN", "GOSSAMER_ADVERTISE", "GOSSAMER_RUN",
          "GOSSAMER_PORT", "GOSSAMER_KEY", "GOSSAMER_AUTHORITY", "GOSSAMER_CERTIFICATE",
          "GOSSAMER_PRIVATE_KEY", "GOSSAMER_INSECURE"}) {
      if (read_.has(variable)) refuse(variable);
    }
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
  /// Whoever meets nodes on other machines must be dialed from there: listens on all addresses, if
  /// nobody has said where, and if its security allows it.
  void listen_for(bool other_machines, transport::TcpOptions& options) const {
    if (!other_machines || says_where()) return;
    if (!transport::may_use(options.security(), asio::ip::address_v4::any())) return;
    options.listen("0.0.0.0:0");
  }
  /// Whether somebody has said where to listen.
  [[nodiscard]] bool says_where() const {
    return !options_.listen().empty() || read_.has("GOSSAMER_LISTEN");
  }

  /// Puts a name before what is wrong with its value.
  template <class Check>
  static auto named(const std::string& name, Check check) {
    try {
      return check();
    } catch (const ConfigError& error) {
      throw ConfigError(name + ": " + error.what());
    }
  }

 private:
  [[nodiscard]] Setting setting(const std::string& option, const char* name,
                                const char* variable) const {
    if (!option.empty()) return {option, name};
    return {read_.get(variable), variable};
  }
  [[nodiscard]] std::uint32_t number(const char* variable, std::uint32_t most) const {
    const std::uint32_t value = launch::whole_number(variable, read_.get(variable), most);
    if (value == 0) throw ConfigError(std::string(variable) + " must not be 0");
    return value;
  }
  /// What an option says, else a variable that must hold an address, else neither.
  [[nodiscard]] std::string address(const std::string& option, const char* variable,
                                    const std::string& otherwise) const {
    if (!option.empty() || !read_.has(variable)) return option.empty() ? otherwise : option;
    named(variable, [&] { (void)transport::HostPort::parse(read_.get(variable)); });
    return read_.get(variable);
  }

  /// Whether a contact is not by its very name on this machine.
  static bool is_elsewhere(const std::string& contact) {
    const std::string host = transport::HostPort::parse(contact).host;
    std::error_code error;
    const auto address = asio::ip::make_address(host, error);
    return error ? host != "localhost" : !transport::is_local(address);
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
    const std::array files{"GOSSAMER_AUTHORITY", "GOSSAMER_CERTIFICATE", "GOSSAMER_PRIVATE_KEY"};
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

/// How `join_run` joins over MPI; null in a program of which no file includes distributed/mpi.hpp.
using JoinOverMpi = Context (*)(const rule::AnyRule& rule, const RunEnvironment& environment);
inline constinit JoinOverMpi join_over_mpi = nullptr;

}  // namespace gossamer::detail
