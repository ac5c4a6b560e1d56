// SPDX-License-Identifier: MIT
/// The only file of the examples that sees the live page's server.
#include <gossamer/error.hpp>
#include <gossamer/observe/watch.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <shared/watch.hpp>

#include <cstdlib>
#include <iostream>

namespace examples {

using gossamer::transport::HostPort;

std::string watch_place(std::string place) {
  if (place.empty()) return place;
  if (place.find(':') == std::string::npos) place = "127.0.0.1:" + place;
  try {
    (void)HostPort::parse(place);
  } catch (const gossamer::ConfigError& error) {
    throw gossamer::ConfigError(std::string("--watch: ") + error.what());
  }
  return place;
}

std::shared_ptr<gossamer::observe::WatchState> make_watch(
    const std::string& place, std::uint32_t port_offset, bool has_dashboard,
    std::vector<std::pair<std::string, std::string>> about,
    std::shared_ptr<const gossamer::observe::ConsensusEstimate> estimate) {
  if (place.empty()) {
    if (!has_dashboard) return nullptr;
    return std::make_shared<gossamer::observe::WatchState>(std::move(about), std::move(estimate));
  }
  auto at = HostPort::parse(place);
  if (at.port > 0) {
    const std::uint32_t port = at.port + port_offset;
    if (port > 65'535) {
      throw gossamer::ConfigError("--watch: there is no port " + std::to_string(port) +
                                  " for node " + std::to_string(port_offset));
    }
    at.port = static_cast<std::uint16_t>(port);
  }
  const char* token = std::getenv("GOSSAMER_WATCH_TOKEN");
  auto watch = std::make_shared<gossamer::observe::Watch>(gossamer::observe::WatchOptions()
                                                              .listen(at.text())
                                                              .token(token != nullptr ? token : "")
                                                              .about(std::move(about))
                                                              .estimate(std::move(estimate)));
  std::cout << "live page: " << watch->url() << std::endl;
  return watch;
}

}  // namespace examples
