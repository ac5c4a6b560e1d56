// SPDX-License-Identifier: MIT
/// Runs http_server.py, which lies beside this file, for the length of a test.
#pragma once

#include <spawn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

/// A web server on loopback over the files of a folder. Needs python3.
class HttpServer {
 public:
  /// Returns when the server listens.
  /// @throws std::runtime_error when it cannot be started.
  explicit HttpServer(const std::filesystem::path& folder) : log_(folder / "requests.log") {
    ::setenv("no_proxy", "127.0.0.1", 1);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe(in.data()) != 0 || ::pipe(out.data()) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    for (const int descriptor : {in[0], in[1], out[0], out[1]}) {
      posix_spawn_file_actions_addclose(&actions, descriptor);
    }
    std::vector<std::string> words = {
        "python3",
        (std::filesystem::path(GOSSAMER_SOURCE_DIR) / "tests/examples/http_server.py").string(),
        folder.string(), log_.string()};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error =
        ::posix_spawnp(&process_, "python3", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    std::FILE* output = ::fdopen(out[0], "r");
    const bool listens = error == 0 && std::fscanf(output, "%d", &port_) == 1;
    std::fclose(output);
    if (!listens) {
      stop();
      throw std::runtime_error("the tests of the download need python3");
    }
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() { stop(); }

  void stop() {
    if (input_ < 0) return;
    ::close(input_);
    input_ = -1;
    if (process_ > 0) ::waitpid(process_, nullptr, 0);
  }

  /// @param path "manner/name"; see http_server.py.
  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }

  /// The requests so far, "/manner/name range" each.
  [[nodiscard]] std::vector<std::string> requests() const {
    std::ifstream in(log_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

 private:
  std::filesystem::path log_;
  pid_t process_ = -1;
  int input_ = -1;
  int port_ = 0;
};
