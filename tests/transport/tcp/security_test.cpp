// SPDX-License-Identifier: MIT
/// Files of keys that cannot work are refused before anything is sent, each with its sentence.
#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/key_file.hpp>
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>

#include <tests/support.hpp>
#include <tests/transport/tcp/small_authority.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;
using gossamer::transport::KeyFile;
using gossamer::transport::make_error_code;
using gossamer::transport::SecureError;
using gossamer::transport::Security;
using gossamer::transport::TlsContext;
using tests::contains;
using tests::SmallAuthority;

const std::string good_key = "00112233445566778899aabbccddeeff0123456789ABCDEF0123456789abcdef";

struct Files {
  fs::path write(const std::string& name, const std::string& text,
                 fs::perms mode = fs::perms::owner_read | fs::perms::owner_write) const {
    const auto path = folder.path() / name;
    std::ofstream(path) << text;
    fs::permissions(path, mode);
    return path;
  }
  tests::TemporaryFolder folder;
};

std::string refusal(const Security& security) {
  return tests::message_of<ConfigError>([&] { security.check(); });
}
std::string context_refusal(const Security& security) {
  return tests::message_of<ConfigError>([&] { TlsContext::make(security); });
}

}  // namespace

TEST_CASE("A shared key is read from a file of digits", "[transport][tcp][parse]") {
  const Files files;
  const std::vector<unsigned char> key =
      Security::shared_key(files.write("a", good_key)).secrets().at(0);
  REQUIRE(key.size() == 32);
  CHECK(key[0] == 0x00);
  CHECK(key[15] == 0xff);
  CHECK(key[20] == 0x89);
  CHECK(key[22] == 0xcd);
  CHECK(Security::shared_key(files.write("b", good_key + " \r\n\n")).secrets().at(0) == key);
  CHECK(Security::shared_key_bytes(key).secrets().at(0) == key);
  CHECK(Security::shared_key(files.write("c", good_key + good_key)).secrets().at(0).size() == 64);
  CHECK_NOTHROW(Security::shared_key(files.write("d", good_key)).check());
}

TEST_CASE("A file that is no shared key is refused, and says why", "[transport][tcp][parse]") {
  const Files files;
  const auto text = [&](const std::string& content) {
    const auto path = files.write("key", content);
    const auto said = refusal(Security::shared_key(path));
    CHECK_THAT(said, contains("Security: " + path.string()));
    CHECK(said.find(good_key.substr(0, 8)) == std::string::npos);  // a sentence tells no secret
    return said;
  };
  CHECK_THAT(text(good_key.substr(2)), contains("must have 32 to 64 random bytes, got 31"));
  CHECK_THAT(text(good_key + good_key + "00"), contains("got 65"));
  CHECK_THAT(text(""), contains("got 0"));
  CHECK_THAT(text(good_key + "0"), contains("got 65 characters, an odd number"));
  CHECK_THAT(text(good_key.substr(2) + "xy"),
             contains("got 64 characters, not all of them digits"));
  CHECK_THAT(text(good_key.substr(1) + "\xff"), contains("not all of them digits"));
  CHECK_THAT(text(std::string(64, '0')), contains("is not random: its bytes take only 1 values") &&
                                             contains("examples/make_keys.sh --shared-key FILE"));
  CHECK_THAT(refusal(Security::shared_key_bytes({1, 2, 3})),
             contains("a shared key must have 32 to 64 random bytes, got 3"));
  CHECK_THAT(refusal(Security::shared_key_bytes({})), contains("got 0"));
}

TEST_CASE("A key that every user of the machine may read is refused", "[transport][tcp]") {
  const Files files;
  const auto mode = GENERATE(fs::perms::others_read, fs::perms::others_write);
  const auto path = files.write("key", good_key, fs::perms::owner_read | mode);
  CHECK_THAT(refusal(Security::shared_key(path)),
             contains("every user of this machine may use the key in " + path.string() +
                      ": chmod 600 " + path.string()));
  const SmallAuthority authority;
  const auto node = authority.node("node 1");
  CHECK_NOTHROW(node.check());
  fs::permissions(node.key_file(), mode, fs::perm_options::add);
  CHECK_THAT(refusal(node), contains("chmod 600 " + node.key_file().string()));
}

TEST_CASE("Only its owner may change a file of keys or certificates, and the group may read a key",
          "[transport][tcp]") {
  const SmallAuthority authority;
  const auto node = authority.node("node 1");
  fs::permissions(node.key_file(), fs::perms::owner_read | fs::perms::group_read);
  fs::permissions(node.chain(), fs::perms::others_read, fs::perm_options::add);
  CHECK_NOTHROW(TlsContext::make(node));
  for (const auto& file : {node.authority(), node.chain(), node.key_file()}) {
    CAPTURE(file);
    fs::permissions(file, fs::perms::group_write, fs::perm_options::add);
    CHECK_THAT(refusal(node), contains("others than its owner may change the ") &&
                                  contains("chmod go-w " + file.string()));
    CHECK_THAT(context_refusal(node), contains("chmod go-w " + file.string()));
    fs::permissions(file, fs::perms::group_write, fs::perm_options::remove);
  }
  const Files files;
  const auto huge = files.write("huge", std::string(KeyFile::most_bytes + 1, '0'));
  CHECK_THAT(refusal(Security::shared_key(huge)),
             contains("it has 1048577 bytes, more than 1048576"));
  CHECK_THAT(refusal(Security::shared_key("/dev/null")), contains("it is no regular file"));
}

TEST_CASE("A file may hold several shared keys, of which each must be one", "[transport][tcp]") {
  const Files files;
  const std::string other(good_key.rbegin(), good_key.rend());
  const auto both = Security::shared_key(files.write("both", good_key + "\n\n" + other + "\r\n"));
  REQUIRE(both.secrets().size() == 2);
  CHECK(both.secrets()[0] == Security::shared_key(files.write("a", good_key)).secrets()[0]);
  CHECK(both.secrets()[1] == Security::shared_key(files.write("b", other)).secrets()[0]);
  CHECK_THAT(refusal(Security::shared_key(files.write("c", good_key + "\nabc\n"))),
             contains("got 3 characters"));
}

TEST_CASE("A file that is not there is named with what should be in it", "[transport][tcp]") {
  const Files files;
  const auto none = files.folder.path() / "none";
  const SmallAuthority authority;
  const auto node = authority.node("node 1");
  CHECK_THAT(refusal(Security::shared_key(none)),
             contains("the shared key cannot be read from '" + none.string() + "': No such file"));
  CHECK_THAT(refusal(Security::shared_key(files.folder.path())), contains("it is a folder"));
  CHECK_THAT(refusal(Security::certificates(none, node.chain(), node.key_file())),
             contains("the authority's certificate cannot be read"));
  CHECK_THAT(refusal(Security::certificates(node.authority(), none, node.key_file())),
             contains("the node's certificate cannot be read"));
  CHECK_THAT(refusal(Security::certificates(node.authority(), node.chain(), none)),
             contains("the node's private key cannot be read"));
  CHECK_THAT(refusal(Security::certificates("", node.chain(), node.key_file())),
             contains("no file is named"));
}

TEST_CASE("Insecure goes with no security only", "[transport][tcp]") {
  CHECK_NOTHROW(Security::none().insecure(true).check());
  CHECK_NOTHROW(Security::none().check());
  CHECK_THAT(refusal(tests::key_of(1).insecure(true)), contains("not with a shared key"));
  CHECK_THAT(refusal(Security::certificates("a", "b", "c").insecure(true)),
             contains("not with certificates"));
  CHECK_THAT(refusal(tests::key_of(1).revocation_list("gone.pem")),
             contains("a revocation list goes with certificates only, got gone.pem"));
}

TEST_CASE("Certificates that cannot work are refused at the start", "[transport][tcp][parse]") {
  const Files files;
  const SmallAuthority authority;
  const auto one = authority.node("node 1");
  const auto two = authority.node("node 2");
  const auto junk = files.write("junk", "no certificate at all\n");
  CHECK_NOTHROW(TlsContext::make(one));
  CHECK_THAT(context_refusal(Security::certificates(junk, one.chain(), one.key_file())),
             contains("finds no certificate of an authority in " + junk.string()));
  CHECK_THAT(context_refusal(Security::certificates(one.authority(), junk, one.key_file())),
             contains("finds no usable certificate in " + junk.string()));
  auto with_list = one;
  CHECK_THAT(context_refusal(with_list.revocation_list(junk)),
             contains("finds no revocation list in " + junk.string()));
  CHECK_NOTHROW(TlsContext::make(with_list.revocation_list(authority.revoke({two}))));
  const auto empty = files.write("empty", "");
  CHECK_THAT(context_refusal(Security::certificates(one.authority(), empty, one.key_file())),
             contains("finds no usable certificate in " + empty.string()));
  CHECK_THAT(context_refusal(Security::certificates(one.authority(), one.chain(), junk)),
             contains("finds no private key for " + one.chain().string() + " in " + junk.string()));
  CHECK_THAT(context_refusal(Security::certificates(one.authority(), one.chain(), two.key_file())),
             contains(two.key_file().string()) && contains(one.chain().string()));
}

TEST_CASE("Every reason has words of its own", "[transport][tcp]") {
  std::set<std::string> texts;
  for (std::size_t kind = 1; kind < gossamer::transport::secure_error_kinds; ++kind) {
    const std::error_code error = static_cast<SecureError>(kind);
    CHECK(std::string(error.category().name()) == "gossamer.secure");
    CHECK_THAT(error.message(), !contains("unknown reason"));
    texts.insert(error.message());
  }
  CHECK(texts.size() == gossamer::transport::secure_error_kinds - 1);
  CHECK(std::error_code(SecureError::expired) == SecureError::expired);
  CHECK(std::error_code(SecureError::expired) != SecureError::cut);
  const std::error_code beyond(gossamer::transport::secure_error_kinds,
                               gossamer::transport::secure_category());
  CHECK_THAT(beyond.message(), contains("unknown reason"));
}

TEST_CASE("The script makes keys that work", "[transport][tcp]") {
  const Files files;
  const auto folder = files.folder.path() / "keys";
  const std::string script = std::string(GOSSAMER_SOURCE_DIR) + "/examples/make_keys.sh";
  const auto run = [&](const std::string& arguments) {
    return std::system((script + " " + arguments + " >/dev/null 2>&1").c_str());
  };
  REQUIRE(run("'" + folder.string() + "' alpha beta") == 0);
  REQUIRE(run("'" + folder.string() + "' gamma") == 0);  // a node more, by the same authority
  for (const std::string node : {"alpha", "beta", "gamma"}) {
    const auto security = Security::certificates(folder / "ca.pem", folder / (node + ".pem"),
                                                 folder / (node + ".key"));
    CHECK(TlsContext::make(security) != nullptr);
    CHECK(fs::status(folder / (node + ".key")).permissions() ==
          (fs::perms::owner_read | fs::perms::owner_write));
  }
  CHECK(fs::status(folder / "ca.key").permissions() ==
        (fs::perms::owner_read | fs::perms::owner_write));
  REQUIRE(run("--revoke '" + folder.string() + "' beta") == 0);
  auto with_list =
      Security::certificates(folder / "ca.pem", folder / "gamma.pem", folder / "gamma.key");
  CHECK(TlsContext::make(with_list.revocation_list(folder / "revoked.pem")) != nullptr);
  CHECK(run("--revoke '" + folder.string() + "' nobody") != 0);
  const auto key = folder / "run.key";
  REQUIRE(run("--shared-key '" + key.string() + "'") == 0);
  const auto secret = Security::shared_key(key).secrets().at(0);
  CHECK(secret.size() == 32);
  CHECK(run("--shared-key '" + key.string() + "'") != 0);  // an old key is not overwritten
  CHECK(Security::shared_key(key).secrets().at(0) == secret);
  CHECK(run("'" + folder.string() + "' alpha") != 0);
  CHECK(run("") != 0);
  CHECK(run("'" + folder.string() + "' ../evil") != 0);
}
