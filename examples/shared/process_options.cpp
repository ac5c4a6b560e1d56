// SPDX-License-Identifier: MIT
/// Reads what says where a process stands among others.
#include <gossamer/launch/tcp_launch.hpp>
#include <shared/process_options.hpp>
#include <shared/validators.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace examples {
namespace {

using gossamer::transport::Security;

Security security_of(const ProcessOptions& o) {
  if (!o.shared_key.empty()) return Security::shared_key(o.shared_key);
  if (!o.authority.empty()) return Security::certificates(o.authority, o.certificate, o.key);
  return Security::none().insecure(o.insecure);
}

}  // namespace

void ProcessOptions::add_to(CLI::App& app, const char* help_group) {
  const Adder add{app, help_group};
  add("--rank", rank,
      "Number of this node, from 0 (default: as torchrun, mpirun or srun say; without\n"
      "them, one that joins a run)",
      within(0, 65535), false);
  add("--listen", listen, "Address and port of this machine; port 0 is a free one");
  add("--advertise", advertise, "Where others dial this node, if not there");
  add("--contact", contacts, "host:port of any member; may be repeated", {}, false);
  add("--port", port, "Of node 0 under a launcher that names none", within(1, 65535));
  add("--run", run, "Only nodes of the same run meet");
  const CLI::Validator file = CLI::ExistingFile;
  auto* shared = add("--shared-key", shared_key, "File with the run's secret", file, false);
  auto* ca = add("--authority", authority, "Certificate of the authority", file, false);
  ca->excludes(shared);
  auto* own =
      add("--certificate", certificate, "This node's, signed by the authority", file, false);
  auto* secret = add("--key", key, "Its private key", file, false);
  own->needs(ca);
  secret->needs(ca);
  ca->needs(own)->needs(secret);
  add.flag("--insecure", insecure, "Other machines may come without a key: anybody may")
      ->excludes(shared)
      ->excludes(ca);
  add("--gather-seconds", gather_seconds, "How long to wait for the others", positive(1e9));
  add("--drain-seconds", drain_seconds,
      "How long, at most, to wait at the end for what is under way", positive(1e9));
}

std::size_t ProcessOptions::find_place(std::size_t nodes, bool wants_nodes) {
  namespace launch = gossamer::launch;
  const bool has_others = wants_nodes || rank >= 0 || !contacts.empty();
  auto wanted = gossamer::transport::TcpOptions().listen(listen).contacts(contacts).world_size(
      has_others ? static_cast<std::uint32_t>(nodes) : 0);
  const std::string plain_run = wanted.run();  // a launcher's job number comes after it
  launch::TcpPlace place;
  if (rank >= 0) {
    place = {wanted.number(static_cast<std::uint32_t>(rank)), true};
    launch::refuse_to_wait_for_nobody(wanted, "give --contact, or --listen with a port");
  } else {
    place = launch::tcp_place(launch::process_variables(), port, std::move(wanted));
  }
  has_place = place.has_number;
  number = place.options.number();
  world_size = place.options.world_size();
  listen = place.options.listen();
  contacts = place.options.contacts();
  if (run == default_run) run += place.options.run().substr(plain_run.size());
  return std::max<std::uint32_t>(world_size, 1);
}

gossamer::transport::TcpOptions ProcessOptions::tcp(const std::string& program) const {
  gossamer::transport::TcpOptions options(number);
  options.world_size(world_size)
      .listen(listen)
      .advertise(advertise)
      .contacts(contacts)
      .run(run)
      .security(security_of(*this))
      .logger(std::make_shared<spdlog::logger>(program,
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return options;
}

}  // namespace examples
