// SPDX-License-Identifier: MIT
/// Trains a group in stretches, evaluates between them, and writes the record.
#include <cifar10/training.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/version.hpp>
#include <shared/run_folder.hpp>

#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <limits>
#include <utility>

namespace cifar10 {
namespace {

using gossamer::observe::grouped;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Where the record goes: processes of one run have a folder each in it.
std::filesystem::path folder_of(const Options& options) {
  const auto folder = options.out.empty() ? examples::folder_named_by_time() : options.out;
  if (options.transport != "tcp" && options.transport != "mpi") return folder;
  return folder / ("node-" + std::to_string(options.tcp.number));
}

/// The smallest multiple of `step` above `value`.
std::uint64_t next_multiple(std::uint64_t value, std::uint64_t step) {
  return (value / step + 1) * step;
}

}  // namespace

Training::Training(const Options& options, const Dataset& dataset)
    : options_(options),
      dataset_(dataset),
      record_(folder_of(options), options.resume),
      progress_(std::cout, gossamer::observe::ProgressLine::stdout_is_terminal(), "images"),
      cluster_(make_cluster(
          options, dataset.train, [this] { return signals_.received() != 0; },
          [this] { show_progress(); })),
      mean_(make_network(options)),
      weighted_(make_network(options)) {
  if (options_.resume) load();
  images_at_start_ = cluster_->totals().samples;
}

bool Training::done() const {
  if (last_.value("test_accuracy", 0.0) >= options_.until_accuracy) return true;
  if (options_.seconds > 0) return seconds() >= options_.seconds;
  return cluster_->totals().samples >= options_.total_images();
}

bool Training::has_news() const {
  return last_.value("images", std::uint64_t{0}) != cluster_->totals().samples;
}

int Training::run() {
  const std::uint64_t total = options_.total_images();
  std::uint64_t evaluate_every = options_.evaluate_every;
  if (evaluate_every == 0 && total > 0) evaluate_every = std::max<std::uint64_t>(20'000, total / 5);
  // Synchronous nodes do their own share, not that of one that is gone: when they have, it counts
  // as done.
  std::uint64_t covered = 0;
  const auto images_done = [&] { return std::max(covered, cluster_->totals().samples); };
  try {
    while (!done() && (total == 0 || covered < total) && signals_.received() == 0) {
      const std::uint64_t images = images_done();
      Stretch stretch;
      if (total > 0) stretch.rest_at = total;
      std::uint64_t evaluate_at = stretch.rest_at;
      std::uint64_t save_at = Stretch::no_limit;
      if (evaluate_every > 0) {
        evaluate_at = std::min(evaluate_at, next_multiple(images, evaluate_every));
      }
      if (options_.checkpoint_every > 0) save_at = next_multiple(images, options_.checkpoint_every);
      stretch.rest_at = std::min(stretch.rest_at, save_at);
      stretch.images = std::min(stretch.rest_at, evaluate_at);
      if (options_.seconds > 0) {
        // A run limited by time is evaluated five times too, unless it says how often.
        const double part = options_.evaluate_every > 0 ? options_.seconds : options_.seconds / 5;
        stretch.seconds = std::min(options_.seconds, seconds() + part);
      }
      stretch_began_ = Clock::now();
      cluster_->train(stretch);
      trained_ += since(stretch_began_);
      if (signals_.received() != 0) break;
      if (stretch.seconds == 0 && stretch.images == stretch.rest_at) covered = stretch.rest_at;
      const std::uint64_t reached = images_done();
      if (!done() && has_news() && (reached >= evaluate_at || reached < stretch.images)) {
        evaluate_now();
      }
      if (reached >= save_at && cluster_->is_calm()) save();
    }
    cluster_->finish();
  } catch (const gossamer::NodeError& error) {
    error_ = error.what();
  }
  if (error_.empty()) {
    // Who interrupts a run does not want to wait.
    if (signals_.received() == 0 && has_news()) evaluate_now();
    if (options_.checkpoint_every > 0 && cluster_->is_calm()) save();
  }
  record_.write_summary(summary());
  print_table();
  if (!error_.empty()) std::cerr << "cifar10: " << error_ << '\n';
  cluster_->close_trace();
  if (!error_.empty()) return 1;
  return signals_.received() == 0 ? 0 : 128 + signals_.received();
}

void Training::show_progress() {
  if (options_.quiet) return;
  const gossamer::Counters totals = cluster_->totals();
  gossamer::observe::ProgressState state;
  state.done = totals.samples;
  state.total = options_.total_images();
  state.seconds = trained_ + since(stretch_began_);
  const auto fresh = static_cast<double>(totals.samples - images_at_start_);
  state.speed = state.seconds > 0 ? fresh / state.seconds : 0;
  if (options_.seconds > 0) {
    const double now = seconds() + (cluster_->virtual_seconds() ? 0 : since(stretch_began_));
    state.fraction = now / options_.seconds;
    state.left = state.fraction > 0 ? state.seconds * (1 / state.fraction - 1) : -1;
  } else {
    state.fraction = static_cast<double>(totals.samples) / static_cast<double>(state.total);
    state.left = static_cast<double>(state.total - std::min(state.total, totals.samples)) /
                 std::max(state.speed, 1e-9);
  }
  const auto steps = static_cast<double>(totals.steps - steps_before_);
  if (steps > 0) {
    state.loss = (totals.loss_sum - loss_before_) / steps;
  } else {
    state.loss = last_.value("train_loss", 0.0);
  }
  state.consensus_error = last_.value("consensus_error", -1.0);
  state.messages = totals.messages_sent;
  state.network = cluster_->network();
  progress_.show(state);
}

void Training::evaluate_now() {
  if (!options_.evaluate) return;
  const auto begin = Clock::now();
  const auto members = cluster_->members();
  gossamer::observe::copy_into(mean_, gossamer::observe::mean(members), members);
  std::vector<Network*> both = {mean_.get()};
  if (members.size() > 1) {  // of one node, both means are its model
    gossamer::observe::copy_into(weighted_, gossamer::observe::weighted_mean(members), members);
    both.push_back(weighted_.get());
  }
  const auto means = evaluate(both, dataset_.test, dataset_.test.size(), options_);
  std::vector<Network*> networks;
  std::vector<gossamer::PeerId> ids;
  std::vector<double> weights;
  std::vector<std::uint64_t> steps;
  for (CifarNode* node : cluster_->nodes()) {
    networks.push_back(node->model().get());
    ids.push_back(node->id());
    weights.push_back(node->weight());
    steps.push_back(node->counters().steps);
  }
  const auto nodes = evaluate(networks, dataset_.test, options_.node_test_images, options_);
  const auto [worst, best] =
      std::minmax_element(nodes.begin(), nodes.end(),
                          [](const Score& a, const Score& b) { return a.accuracy < b.accuracy; });
  double node_mean = 0;
  for (const Score& node : nodes) node_mean += node.accuracy;
  node_mean /= static_cast<double>(nodes.size());

  const gossamer::Counters totals = cluster_->totals();
  const auto fresh = static_cast<double>(totals.steps - steps_before_);
  const double train_loss =
      fresh > 0 ? (totals.loss_sum - loss_before_) / fresh : last_.value("train_loss", 0.0);
  steps_before_ = totals.steps;
  loss_before_ = totals.loss_sum;
  evaluation_seconds_ += since(begin);

  last_ = {{"wall_seconds", cluster_->wall_seconds()}};
  if (cluster_->virtual_seconds()) last_["virtual_seconds"] = seconds();
  last_.update({{"images", totals.samples},
                {"steps", totals.steps},
                {"train_loss", train_loss},
                {"test_loss", means[0].loss},
                {"test_accuracy", means[0].accuracy},
                {"weighted_test_loss", means.back().loss},
                {"weighted_test_accuracy", means.back().accuracy},
                {"node_test_images", std::min(options_.node_test_images, dataset_.test.size())},
                {"worst_node_loss", worst->loss},
                {"worst_node_accuracy", worst->accuracy},
                {"mean_node_accuracy", node_mean},
                {"best_node_loss", best->loss},
                {"best_node_accuracy", best->accuracy},
                {"consensus_error", gossamer::observe::consensus_error(members)},
                {"effective_nodes", gossamer::observe::effective_nodes(members)},
                {"total_weight", cluster_->total_weight()},
                {"node_ids", ids},
                {"weights", weights},
                {"steps_per_node", steps},
                {"messages_sent", totals.messages_sent},
                {"messages_merged", totals.messages_merged},
                {"messages_returned", totals.messages_returned},
                {"bytes_sent", totals.bytes_sent}});
  if (const Json peers = cluster_->peers(); !peers.is_null()) {
    last_["address"] = cluster_->address();
    last_["connections"] = cluster_->connections();
    last_["peers"] = peers;
  }
  record_.add(last_);
  if (options_.quiet) return;
  char line[160];
  std::snprintf(line, sizeof line,
                "%s images: test accuracy %.4f (mean model), %.4f to %.4f (nodes), loss %.4f, "
                "consensus %.4g",
                grouped(totals.samples).c_str(), means[0].accuracy, worst->accuracy, best->accuracy,
                means[0].loss, last_["consensus_error"].get<double>());
  progress_.say(line);
}

void Training::checkpoint(gossamer::Archive& archive) {
  std::string description = options_.description().dump();
  archive("options", description);
  std::string data = dataset_.name;
  archive("dataset", data);
  if (description != options_.description().dump()) {
    throw gossamer::CheckpointError("of a run with other options: " + description +
                                    ", this one has " + options_.description().dump());
  }
  if (data != dataset_.name) {
    throw gossamer::CheckpointError("of a run on data set " + data + ", this one has " +
                                    dataset_.name);
  }
  archive.within("group", [&] { cluster_->checkpoint(archive); });
  archive("evaluation_seconds", evaluation_seconds_);
  archive("steps_before", steps_before_);
  archive("loss_before", loss_before_);
  std::string last = last_.dump();
  archive("last", last);
  last_ = Json::parse(last);
}

void Training::save() { gossamer::save_checkpoint(*this, checkpoint_path()); }

void Training::load() {
  gossamer::load_checkpoint(*this, checkpoint_path());
  const std::uint64_t images = cluster_->totals().samples;
  record_.rewind(
      [images](const Json& line) { return line.value("images", std::uint64_t{0}) <= images; });
  progress_.say("resumed at " + grouped(images) + " images, total weight " +
                std::to_string(cluster_->total_weight()));
}

Training::Json Training::summary() {
  const gossamer::Counters totals = cluster_->totals();
  Json text = {{"dataset", dataset_.name},
               {"parameters", cluster_->members().empty()
                                  ? 0
                                  : cluster_->members().front().model->layout().parameter_count()}};
  text.update(options_.description());
  text.update(last_);
  text["images"] = totals.samples;
  text["steps"] = totals.steps;
  const double wall = cluster_->wall_seconds();
  text["wall_seconds"] = wall;
  if (cluster_->virtual_seconds()) text["virtual_seconds"] = seconds();
  text["images_per_second"] = wall > 0 ? static_cast<double>(totals.samples) / wall : 0.0;
  text["evaluation_seconds"] = evaluation_seconds_;
  for (const char* key : {"train_loss", "test_loss", "test_accuracy", "consensus_error"}) {
    if (!text.contains(key)) text[key] = nullptr;
  }
  text["total_weight"] = cluster_->total_weight();
  text["messages_sent"] = totals.messages_sent;
  text["messages_merged"] = totals.messages_merged;
  text["messages_returned"] = totals.messages_returned;
  text["bytes_sent"] = totals.bytes_sent;
  if (const Json peers = cluster_->peers(); !peers.is_null()) {
    text["connections"] = cluster_->connections();
    text["peers"] = peers;
  }
  text["version"] = GOSSAMER_VERSION;
  text["libtorch"] = TORCH_VERSION;
  text["digest"] = gossamer::observe::digest(cluster_->members());
  if (signals_.received() != 0) text["signal"] = signals_.received();
  if (!error_.empty()) text["error"] = error_;
  return text;
}

void Training::print_table() {
  const Json text = summary();
  const auto row = [](const char* name, const char* format, auto value) {
    char cell[64];
    std::snprintf(cell, sizeof cell, format, value);
    std::cout << "  " << name << std::string(26 - std::string(name).size(), ' ') << cell << '\n';
  };
  const auto number = [&text](const char* key) { return text.value(key, 0.0); };
  std::cout << '\n'
            << options_.rule << " on " << dataset_.name << ", " << cluster_->nodes().size()
            << " node" << (cluster_->nodes().size() == 1 ? "" : "s")
            << (error_.empty() ? "" : " (ended by an error)") << '\n';
  row("images", "%s", grouped(text["images"]).c_str());
  row("training seconds", "%.1f", number("wall_seconds"));
  if (cluster_->virtual_seconds()) row("virtual seconds", "%.1f", seconds());
  row("images per second", "%.0f", number("images_per_second"));
  if (!last_.empty()) {
    row("train loss", "%.4f", number("train_loss"));
    row("test loss", "%.4f", number("test_loss"));
    row("accuracy, mean model", "%.4f", number("test_accuracy"));
    row("accuracy, weighted mean", "%.4f", number("weighted_test_accuracy"));
    row("accuracy, worst node", "%.4f", number("worst_node_accuracy"));
    row("accuracy, best node", "%.4f", number("best_node_accuracy"));
    row("consensus error", "%.6g", number("consensus_error"));
    row("effective nodes", "%.2f", number("effective_nodes"));
  }
  row("total weight", "%.12f", number("total_weight"));
  row("messages sent", "%s", grouped(text["messages_sent"]).c_str());
  row("messages returned", "%s", grouped(text["messages_returned"]).c_str());
  row("megabytes sent", "%.1f", number("bytes_sent") / 1e6);
  std::cout << "  record" << std::string(20, ' ') << record_.folder().string() << '\n';
}

}  // namespace cifar10
