// SPDX-License-Identifier: MIT
/// Keys that change under a running node.
#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_keys.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

using gossamer::ConfigError;
using gossamer::transport::Security;
using gossamer::transport::TlsKeys;
using namespace std::chrono_literals;

const std::string one = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef\n";
const std::string two = "ff112233445566778899aabbccddeeff0123456789abcdef0123456789abcdee\n";

struct File {
  void write(const std::string& text) const {
    std::ofstream(path) << text;
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  tests::TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "key";
};

}  // namespace

TEST_CASE("Keys are read again when their file has changed, once a minute at most, or by a call",
          "[transport][tcp]") {
  const File file;
  file.write(one);
  TlsKeys keys(Security::shared_key(file.path));
  std::string why;
  const auto first = keys.at(0s, why);
  CHECK(keys.at(60s, why) == first);  // the same file
  file.write(one + two);
  CHECK(keys.at(119s, why) == first);  // not looked at yet
  const auto second = keys.at(120s, why);
  CHECK(second != first);
  file.write(two);
  keys.reload();
  const auto third = keys.at(121s, why);
  CHECK(third != second);
  CHECK(keys.at(300s, why) == third);
  CHECK(why.empty());
}

TEST_CASE("Keys that cannot work change nothing, and are named once", "[transport][tcp]") {
  const File file;
  file.write(one);
  TlsKeys keys(Security::shared_key(file.path));
  std::string why;
  const auto first = keys.at(0s, why);
  file.write("no key\n");
  CHECK(keys.at(60s, why) == first);
  CHECK_THAT(why, tests::contains(file.path.string() + " must hold 64 to 128"));
  why.clear();
  CHECK(keys.at(120s, why) == first);
  CHECK(why.empty());
  CHECK_THROWS_AS(keys.reload(), ConfigError);
  std::filesystem::remove(file.path);
  CHECK(keys.at(180s, why) == first);
  CHECK_THAT(why, tests::contains("No such file"));
  why.clear();
  file.write(two);
  CHECK(keys.at(240s, why) != first);
  CHECK(why.empty());
}

TEST_CASE("No security needs no keys", "[transport][tcp]") {
  TlsKeys keys(Security::none());
  std::string why;
  CHECK(keys.at(100s, why) == nullptr);
  keys.reload();
  CHECK(keys.at(200s, why) == nullptr);
}
