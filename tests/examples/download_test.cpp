// SPDX-License-Identifier: MIT
/// The download from servers that behave, break off, cheat or are gone.
#include <cifar10/download.hpp>
#include <gossamer/error.hpp>

#include <archive.h>
#include <archive_entry.h>
#include <tests/examples/http_server.hpp>
#include <tests/examples/small_archive.hpp>
#include <tests/examples/small_files.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

/// A server with an archive, and an empty cache.
struct Scene {
  Scene() {
    fs::create_directories(served);
    make_archive(served / archive_name, entries());
    bytes = fs::file_size(served / archive_name);
    digest = cifar10::sha256(served / archive_name);
    server.emplace(served);
  }
  [[nodiscard]] cifar10::Archive archive(const std::string& manner) const {
    return {server->url(manner + "/" + archive_name), digest, bytes};
  }
  fs::path download(const cifar10::Archive& archive) {
    return cifar10::download(archive, cache, log, std::chrono::milliseconds(0));
  }
  std::string refusal(const cifar10::Archive& archive) {
    return tests::message_of<ConfigError>([&] { (void)download(archive); });
  }

  tests::TemporaryFolder folder;
  fs::path served = folder.path() / "served";
  fs::path cache = folder.path() / "some" / "cache";
  fs::path part = cache / (archive_name + ".part");
  std::uint64_t bytes = 0;
  std::string digest;
  std::optional<HttpServer> server;
  std::ostringstream log;
};

}  // namespace

TEST_CASE("The digest is SHA-256", "[examples][download]") {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "file";
  write_file(file, "abc");
  CHECK(cifar10::sha256(file) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  write_file(file, "");
  CHECK(cifar10::sha256(file) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  write_file(file, std::string(1'000'000, 'a'));
  CHECK(cifar10::sha256(file) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  contains(tests::message_of<ConfigError>([&] { (void)cifar10::sha256(folder.path() / "none"); }),
           "sha256: cannot read");
}

TEST_CASE("The official archive is the one its authors publish", "[examples][download]") {
  const auto archive = cifar10::official_archive();
  CHECK(archive.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz");
  CHECK(archive.sha256.size() == 64);
  CHECK(archive.bytes == 170'052'171);
}

TEST_CASE("A download ends unpacked, shows its way, and is not repeated", "[examples][download]") {
  Scene scene;
  const auto folder = scene.download(scene.archive("range"));
  CHECK(folder == scene.cache / folder_name);
  check_files(folder);
  CHECK_FALSE(fs::exists(scene.part));
  contains(scene.log.str(), "fetching " + scene.archive("range").url);
  contains(scene.log.str(), "of 0.1 MB (100 %), ");
  CHECK(scene.server->requests() == std::vector<std::string>{"/range/" + archive_name + " -"});

  scene.server->stop();
  CHECK(scene.download(scene.archive("range")) == folder);  // nobody to ask
  fs::remove_all(folder);
  CHECK(scene.download(scene.archive("range")) == folder);  // unpacked again
  check_files(folder);
}

TEST_CASE("A transfer that breaks off twice asks only for the rest", "[examples][download]") {
  Scene scene;
  check_files(scene.download(scene.archive("breaks")));
  const auto first = scene.bytes / 3;
  const auto second = first + (scene.bytes - first) / 3;
  const auto path = "/breaks/" + archive_name;
  CHECK(scene.server->requests() ==
        std::vector<std::string>{path + " -", path + " bytes=" + std::to_string(first) + "-",
                                 path + " bytes=" + std::to_string(second) + "-"});
  contains(scene.log.str(), "broke off after " + std::to_string(first) + " bytes");
}

TEST_CASE("A server that cannot resume is taken from the start", "[examples][download]") {
  Scene scene;
  check_files(scene.download(scene.archive("cut")));
  CHECK(scene.server->requests().size() == 2);
  contains(scene.log.str(), "the server cannot resume; starting over");
}

TEST_CASE("The part of an earlier run is gone on with", "[examples][download]") {
  Scene scene;
  fs::create_directories(scene.cache);
  const auto whole = read_file(scene.served / archive_name);
  std::string range = "bytes=50000-";
  std::size_t requests = 1;
  SECTION("a beginning") { write_file(scene.part, whole.substr(0, 50'000)); }
  SECTION("the whole, not yet checked") {
    write_file(scene.part, whole);
    requests = 0;
  }
  SECTION("more than the whole is thrown away") {
    write_file(scene.part, whole + "x");
    range = "-";
  }
  check_files(scene.download(scene.archive("range")));
  REQUIRE(scene.server->requests().size() == requests);
  if (requests == 1) CHECK(scene.server->requests()[0] == "/range/" + archive_name + " " + range);
}

TEST_CASE("A wrong digest deletes the file and names both digests", "[examples][download]") {
  Scene scene;
  auto archive = scene.archive("range");
  archive.sha256 = std::string(64, '0');
  const auto text = scene.refusal(archive);
  contains(text, archive.url + " must have the SHA-256 digest " + archive.sha256 + ", got " +
                     scene.digest + "; the file was deleted");
  CHECK_FALSE(fs::exists(scene.part));
  CHECK_FALSE(fs::exists(scene.cache / archive_name));
  CHECK_FALSE(fs::exists(scene.cache / folder_name));
}

TEST_CASE("A damaged part is deleted, and the next run succeeds", "[examples][download]") {
  Scene scene;
  fs::create_directories(scene.cache);
  write_file(scene.part, std::string(10'000, 'x'));
  contains(scene.refusal(scene.archive("range")), "SHA-256");
  check_files(scene.download(scene.archive("range")));
}

TEST_CASE("A damaged archive in the cache is fetched again", "[examples][download]") {
  Scene scene;
  fs::create_directories(scene.cache);
  write_file(scene.cache / archive_name, "damaged");
  check_files(scene.download(scene.archive("plain")));
  contains(scene.log.str(), "is damaged; fetching it again");
}

TEST_CASE("A server that sends too much is cut off", "[examples][download]") {
  Scene scene;
  contains(scene.refusal(scene.archive("long")),
           "must have " + std::to_string(scene.bytes) + " bytes, the server sends more");
  CHECK_FALSE(fs::exists(scene.part));
}

TEST_CASE("A server with too short a file is given up", "[examples][download]") {
  Scene scene;
  contains(scene.refusal(scene.archive("short")), "broke off 5 times");
  CHECK_FALSE(fs::exists(scene.cache / archive_name));
}

TEST_CASE("A server that always breaks off is given up, and the part is kept",
          "[examples][download]") {
  Scene scene;
  const auto archive = scene.archive("stops");
  const auto text = scene.refusal(archive);
  contains(text, archive.url + " broke off 5 times, at last after ");
  contains(text, " of " + std::to_string(scene.bytes) + " bytes: ");
  CHECK(scene.server->requests().size() == 5);
  const auto kept = fs::file_size(scene.part);
  CHECK(kept > scene.bytes / 2);
  CHECK(read_file(scene.part) == read_file(scene.served / archive_name).substr(0, kept));
}

TEST_CASE("A busy server is asked again, a refusal is final", "[examples][download]") {
  Scene scene;
  check_files(scene.download(scene.archive("busy")));
  CHECK(scene.server->requests().size() == 2);
  auto archive = scene.archive("range");
  archive.url = scene.server->url("range/missing.tar.gz");
  fs::remove_all(scene.cache);
  const auto text = scene.refusal(archive);
  contains(text, "cannot fetch " + archive.url + ": ");
  contains(text, "404");
  CHECK(scene.server->requests().size() == 3);
}

TEST_CASE("A redirection is followed, but not to a local file", "[examples][download]") {
  Scene scene;
  contains(scene.refusal(scene.archive("escapes")), "cannot fetch ");
  check_files(scene.download(scene.archive("moved")));
}

TEST_CASE("Without a network the url and the reason are named", "[examples][download]") {
  Scene scene;
  const auto archive = scene.archive("range");
  scene.server->stop();
  const auto text = scene.refusal(archive);
  contains(text, "download: cannot fetch " + archive.url + ": ");
  contains(text, "onnect");
  CHECK_FALSE(fs::exists(scene.cache / archive_name));

  auto strange = archive;
  strange.url = "file://" + (scene.served / archive_name).string();
  contains(scene.refusal(strange), "cannot fetch file://");
  strange.url = "http://127.0.0.1/";
  contains(scene.refusal(strange), "a url that ends in a file's name, got ");
}

TEST_CASE("A cache that cannot be made is named", "[examples][download]") {
  Scene scene;
  write_file(scene.folder.path() / "some", "a file in the way");
  contains(scene.refusal(scene.archive("range")), "cannot make the folder " + scene.cache.string());
}

TEST_CASE("Two that share a cache fetch once", "[examples][download]") {
  Scene scene;
  std::vector<fs::path> folders(2);
  std::vector<std::thread> threads;
  for (auto& folder : folders) {
    threads.emplace_back([&] {
      std::ostringstream log;
      folder = cifar10::download(scene.archive("range"), scene.cache, log);
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(folders[0] == folders[1]);
  check_files(folders[0]);
  CHECK(scene.server->requests().size() == 1);
}

TEST_CASE("The cache follows XDG_CACHE_HOME, then HOME", "[examples][download]") {
  struct Reconnect {  // the environment, whatever the checks do
    explicit Reconnect(std::string n) : name(std::move(n)) {
      if (const char* old = std::getenv(name.c_str())) value = old;
    }
    ~Reconnect() {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
    std::string name;
    std::optional<std::string> value;
  };
  const Reconnect xdg("XDG_CACHE_HOME");
  const Reconnect home("HOME");
  ::setenv("HOME", "/somewhere/home", 1);
  ::setenv("XDG_CACHE_HOME", "/somewhere/cache", 1);
  CHECK(cifar10::cache_directory() == "/somewhere/cache/gossamer");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  CHECK(cifar10::cache_directory() == "/somewhere/home/.cache/gossamer");
  ::unsetenv("XDG_CACHE_HOME");
  CHECK(cifar10::cache_directory() == "/somewhere/home/.cache/gossamer");
  ::unsetenv("HOME");
  contains(tests::message_of<ConfigError>([] { (void)cifar10::cache_directory(); }),
           "XDG_CACHE_HOME or HOME must be an absolute path");
}
