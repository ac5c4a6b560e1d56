// SPDX-License-Identifier: MIT
// An operation whose name or type is wrong does not compile, and the first error names it.
// expect: sendd
// expect: poll
// expect: settled
#include <gossamer/transport/transport.hpp>

namespace {

using namespace gossamer::transport;

struct Misspelt : Transport {
  void sendd(Message) override {}
};
struct SaysNothing : Transport {
  void poll() override {}
};
struct OtherParameters : Transport {
  bool settled(int) override { return true; }
};

}  // namespace
