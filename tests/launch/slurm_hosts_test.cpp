// SPDX-License-Identifier: MIT
/// Slurm's lists of hosts.
#include <gossamer/error.hpp>
#include <gossamer/launch/slurm_hosts.hpp>

#include <tests/support.hpp>

#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::launch::slurm_hosts;
using Hosts = std::vector<std::string>;

TEST_CASE("Slurm's list of hosts is read as Slurm writes it", "[launch][slurm][parse]") {
  CHECK((slurm_hosts("a") == Hosts{"a"}));
  CHECK((slurm_hosts("a,b-1") == Hosts{"a", "b-1"}));
  CHECK((slurm_hosts("n[1-3]") == Hosts{"n1", "n2", "n3"}));
  CHECK((slurm_hosts("n[098-101,7]-x,m") ==
         Hosts{"n098-x", "n099-x", "n100-x", "n101-x", "n7-x", "m"}));
}

TEST_CASE("What is no list of hosts is refused, not guessed at", "[launch][slurm][parse]") {
  for (const char* bad : {"", ",", "a,", "n[", "n]", "n[]", "n[3-1]", "n[1-]", "n[a]", "n[1][2]",
                          "n[[1]", "n[1]]", "n[1,2", "n[0-999999999]", "n[1-2-3]"}) {
    INFO(bad);
    CHECK_THAT(tests::message_of<ConfigError>([&] { (void)slurm_hosts(bad); }),
               tests::contains("SLURM_NODELIST must be"));
  }
}

}  // namespace
