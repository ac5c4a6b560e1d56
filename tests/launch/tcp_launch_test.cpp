// SPDX-License-Identifier: MIT
/// From what a launcher says to a node's options on TCP.
#include <gossamer/error.hpp>
#include <gossamer/launch/tcp_launch.hpp>

#include <tests/launch/variable_map.hpp>
#include <tests/support.hpp>

#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::launch::LaunchInfo;
using gossamer::launch::tcp_options;
using gossamer::launch::tcp_place;
using gossamer::transport::TcpOptions;
using tests::VariableMap;
using tests::with;
using tests::without;
using Addresses = std::vector<std::string>;

TcpOptions place(const VariableMap& map, const TcpOptions& wanted = TcpOptions()) {
  return tcp_place(tests::variables(map), 4000, wanted).options;
}
std::string refused(const VariableMap& map, const TcpOptions& wanted = TcpOptions()) {
  return tests::message_of<ConfigError>([&] { (void)place(map, wanted); });
}

TEST_CASE("A launcher's word becomes number, world_size, contact and port", "[launch][tcp]") {
  LaunchInfo launch{"torchrun", 0, 4, "10.0.0.1", 29500};
  const TcpOptions first = tcp_options(launch, 1);
  CHECK(first.number() == 0);
  CHECK(first.world_size() == 4);
  CHECK(first.listen() == "127.0.0.1:29500");
  CHECK(first.contacts().empty());
  launch.rank = 2;
  const TcpOptions third = tcp_options(launch, 1, TcpOptions().listen("0.0.0.0:0"));
  CHECK(third.number() == 2);
  CHECK(third.listen() == "0.0.0.0:0");
  CHECK(third.contacts() == Addresses{"10.0.0.1:29500"});
  launch = {"Slurm", 1, 4, "gpu07", 0};
  CHECK(tcp_options(launch, 4000).contacts() == Addresses{"gpu07:4000"});
  CHECK(tcp_options(launch, 4000, TcpOptions().contacts({"b:1"})).contacts() == Addresses{"b:1"});
}

TEST_CASE("Nodes that are all on one machine meet over loopback", "[launch][tcp]") {
  LaunchInfo launch{"torchrun", 1, 4, "node.example", 29500, true};
  const auto contact = [&](const char* listen) {
    return tcp_options(launch, 1, TcpOptions().listen(listen)).contacts();
  };
  CHECK(contact("127.0.0.1:0") == Addresses{"127.0.0.1:29500"});
  CHECK(contact("0.0.0.0:0") == Addresses{"127.0.0.1:29500"});
  CHECK(contact("[::]:0") == Addresses{"[::1]:29500"});
  CHECK(contact("10.0.0.5:0") == Addresses{"10.0.0.5:29500"});
  launch.first.clear();
  CHECK(contact("127.0.0.1:0") == Addresses{"127.0.0.1:29500"});
  launch.rank = 0;
  CHECK(tcp_options(launch, 1).listen() == "127.0.0.1:29500");
}

TEST_CASE("The launcher's number is part of the run's name unless that was given",
          "[launch][tcp]") {
  const auto run = [](const VariableMap& map, const char* name) {
    return tcp_place(tests::variables(map), 4000, TcpOptions().run(name)).options.run();
  };
  CHECK(run(tests::slurm(), "gossamer") == "gossamer SLURM_JOB_ID=1234");
  CHECK(run(tests::slurm(), "mine") == "mine");
  CHECK(run(tests::torchrun(), "gossamer") == "gossamer");
}

TEST_CASE("Several nodes of which nobody says where the first one is are refused by the variable",
          "[launch][tcp]") {
  const VariableMap mpich{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}};
  CHECK_THAT(refused(mpich), tests::contains("node 1 is one of 2") &&
                                 tests::contains("MASTER_ADDR is not set") &&
                                 tests::contains("MPICH or Intel MPI"));
  CHECK_THAT(refused(with(mpich, "PMI_RANK", "0")), tests::contains("MASTER_ADDR is not set"));
  CHECK_THAT(refused(without(tests::torchrun(), "MASTER_ADDR")),
             tests::contains("MASTER_ADDR is not set"));
  CHECK_THAT(refused({{"JOB_COMPLETION_INDEX", "1"}, {"WORLD_SIZE", "2"}}),
             tests::contains("MASTER_ADDR is not set") && tests::contains("NAME-0.SERVICE"));
  CHECK_NOTHROW(place(with(with(mpich, "PMI_SIZE", "1"), "PMI_RANK", "0")));
  CHECK_NOTHROW(place(mpich, TcpOptions().contacts({"a:1"})));
  CHECK_NOTHROW(place(with(mpich, "MASTER_ADDR", "a")));
  CHECK_NOTHROW(place(with(mpich, "PMI_RANK", "0"), TcpOptions().listen("127.0.0.1:7451")));
}

TEST_CASE("A launcher that does not say how many nodes there are is asked for WORLD_SIZE",
          "[launch][tcp][kubernetes]") {
  const VariableMap job{{"JOB_COMPLETION_INDEX", "1"}, {"MASTER_ADDR", "a-0.pods"}};
  CHECK_THAT(refused(job), tests::contains("WORLD_SIZE is not set") &&
                               tests::contains("this is node 1, got 0 nodes"));
  CHECK(tcp_place(tests::variables(job), 4000, TcpOptions().world_size(3)).options.world_size() ==
        3);
}

TEST_CASE("Without a launcher, who wants others and names none of them is refused",
          "[launch][tcp]") {
  const TcpOptions four = TcpOptions().world_size(4);
  CHECK_THAT(refused({}, four), tests::contains("4 nodes are wanted") &&
                                    tests::contains("no launcher's variables are set") &&
                                    tests::contains("PMI_RANK") && tests::contains("a contact"));
  const VariableMap shell = without(tests::slurm(), "SLURM_STEP_ID");
  CHECK_THAT(refused(shell, four), tests::contains("SLURM_JOB_ID is set, but not SLURM_STEP_ID") &&
                                       tests::contains("srun"));
}

TEST_CASE("Without a launcher a process is alone, or a newcomer where it has a contact",
          "[launch][tcp]") {
  const VariableMap none;
  const auto alone = tcp_place(tests::variables(none));
  CHECK_FALSE(alone.has_number);
  CHECK(alone.options.world_size() == 0);
  CHECK(alone.options.number() >= 65'536);
  const auto newcomer =
      tcp_place(tests::variables(none), 4000, TcpOptions().world_size(4).contacts({"a:1"}));
  CHECK_FALSE(newcomer.has_number);
  CHECK(newcomer.options.world_size() == 4);
  CHECK(newcomer.options.number() >= 65'536);
  CHECK(newcomer.options.contacts() == Addresses{"a:1"});
  CHECK(tcp_place(tests::variables(tests::torchrun())).has_number);
}

}  // namespace
