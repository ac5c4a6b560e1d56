// SPDX-License-Identifier: MIT
/// Trains a group in stretches, evaluates between them, and writes the record.
#include <cifar10/resume.hpp>
#include <cifar10/training.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/trace.hpp>
#include <gossamer/observe/watch_state.hpp>
#include <gossamer/simulation/trace.hpp>
#include <shared/description.hpp>
#include <shared/mlflow_run.hpp>
#include <shared/process_group.hpp>
#include <shared/run_folder.hpp>
#include <shared/watch.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <limits>
#include <utility>
#include <vector>

namespace cifar10 {
namespace {

using gossamer::observe::grouped;
using gossamer::observe::ProgressLine;
using Clock = std::chrono::steady_clock;
constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Where the record goes: processes of one run have a folder each in it.
std::filesystem::path folder_of(const Options& options) {
  const auto folder = options.out.empty() ? examples::folder_named_by_time() : options.out;
  return options.is_process() ? folder / ("node-" + std::to_string(options.process.number))
                              : folder;
}

using gossamer::observe::ConsensusEstimate;

/// The consensus error while the nodes train; null if the rule's messages do not tell.
std::shared_ptr<ConsensusEstimate> make_estimate(const Options& options) {
  auto estimate = std::make_shared<ConsensusEstimate>(options.make_rule());
  return estimate->is_possible() ? estimate : nullptr;
}

/// What MLflow is told of a run.
nlohmann::ordered_json setting_of(const Options& options) {
  auto description = options.description();
  description.update(options.length());
  return description;
}

/// What the progress line goes towards.
gossamer::StopCondition goal_of(const Options& options) {
  gossamer::StopCondition goal;
  if (options.total_images() > 0) goal.samples(options.total_images());
  if (options.seconds > 0) goal.duration(gossamer::transport::seconds(options.seconds));
  return goal;
}

/// The smallest multiple of `step` above `value`; never of 0.
std::uint64_t next_multiple(std::uint64_t value, std::uint64_t step) {
  return step > 0 ? (value / step + 1) * step : never;
}

}  // namespace

examples::AnyGroup<CifarNode> make_group(const Options& options, gossamer::NodeOptions node,
                                         const Images& train, std::function<bool()> stop_when) {
  const examples::MakeNode<CifarNode> make = [&options, &train](gossamer::Context context) {
    auto one = std::make_unique<CifarNode>(std::move(context), options, train);
    if (options.is_process() && !options.step_log.empty()) one->log_steps(options.step_log);
    return one;
  };
  const examples::GroupPlan plan{options.make_rule(), std::move(node), std::move(stop_when)};
  if (options.transport == "simulated") {
    return examples::make_simulated_group(options.simulation(), plan, make);
  }
  if (options.transport == "tcp") {
    return examples::make_tcp_group(options.process, "cifar10", plan, make);
  }
  if (options.transport == "mpi") return examples::make_mpi_group(options.process, plan, make);
  return examples::make_thread_group(options.members(), plan, make);
}

Training::Training(const Options& options, const Dataset& dataset)
    : options_(options),
      dataset_(dataset),
      recorder_(std::make_shared<gossamer::observe::RunRecorder>(folder_of(options), options.resume,
                                                                 "images")),
      progress_(std::make_shared<gossamer::observe::Progress>(
          ProgressLine(std::cout, ProgressLine::stdout_is_terminal(), "images"), goal_of(options))),
      trace_(make_trace()),
      estimate_(make_estimate(options)),
      watch_(examples::make_watch(options.watch, options.process.port_offset(), options.dashboard,
                                  examples::as_text(options.description()), estimate_)),
      mlflow_(examples::make_mlflow(options.mlflow, "cifar10", recorder_->record().folder(),
                                    options.is_process(), setting_of(options))),
      group_(make_group(options_, told(), dataset.train, [this] { return is_stopped(); })),
      mean_(make_network(options)),
      weighted_(make_network(options)) {
  if (options_.resume) load();
  if (options_.is_process()) covered_ = group_->totals().samples;
  const std::uint64_t fifth = std::max<std::uint64_t>(20'000, options_.total_images() / 5);
  evaluate_every_ = options_.evaluate_every;
  if (evaluate_every_ == 0 && options_.total_images() > 0) evaluate_every_ = fifth;
}

std::shared_ptr<gossamer::observe::Callback> Training::make_trace() {
  if (options_.trace.empty()) return nullptr;
  const auto make = [this](auto trace) -> std::shared_ptr<gossamer::observe::Callback> {
    close_trace_ = [trace] { trace->close(); };
    return trace;
  };
  std::filesystem::path path = options_.trace;
  if (options_.transport == "simulated") {
    return make(std::make_shared<gossamer::observe::SimulatedTrace>(path));
  }
  if (options_.is_process()) {
    const std::string number = std::to_string(options_.process.number);
    path.replace_filename(path.stem().string() + "-node-" + number + path.extension().string());
  }
  return make(std::make_shared<gossamer::observe::Trace>(path));
}

gossamer::NodeOptions Training::told() const {
  gossamer::NodeOptions node = options_.node_options();
  node.callback(recorder_);
  if (!options_.quiet) node.callback(progress_);
  if (trace_) node.callback(trace_);
  if (estimate_) node.callback(estimate_);
  if (watch_) node.callback(watch_);
  if (mlflow_) node.callback(mlflow_);
  return node;
}

bool Training::done() const {
  if (recorder_->last("test_accuracy", 0) >= options_.until_accuracy) return true;
  if (options_.seconds > 0) return group_->elapsed().count() >= options_.seconds;
  return position() >= options_.total_images();
}

bool Training::is_stopped() {
  if (signals_.received() == 0) return false;
  if (dashboard_) dashboard_->leave();
  return true;
}

bool Training::anybody() const { return !group_->live().empty(); }

bool Training::has_news() const {
  if (options_.is_process()) return trained_since_;
  return recorder_->last().value("images", std::uint64_t{0}) != group_->totals().samples;
}

std::uint64_t Training::position() const {
  return options_.is_process() ? covered_ : std::max(covered_, group_->totals().samples);
}

int Training::run() {
  if (options_.dashboard) dashboard_ = std::make_unique<examples::Dashboard>(watch_);
  try {
    train();
  } catch (const gossamer::NodeError& error) {
    error_ = error.what();
  }
  dashboard_.reset();
  const Json text = summary();
  recorder_->record().write_summary(text);
  print_table(text);
  if (!error_.empty()) std::cerr << "cifar10: " + error_ + '\n';  // whole: others may log
  if (close_trace_) close_trace_();
  examples::end_mlflow(mlflow_, "cifar10", signals_.received() != 0, !error_.empty());
  if (!error_.empty()) return 1;
  return signals_.received() == 0 ? 0 : 128 + signals_.received();
}

void Training::train() {
  while (!done() && signals_.received() == 0 && anybody()) train_stretch();
  if (!anybody()) {
    error_ = "no node is left after " + grouped(group_->totals().samples) +
             " images; the run ends early";
    return;
  }
  // Who interrupts a run does not want to wait.
  const bool looks = options_.evaluate && signals_.received() == 0 && has_news();
  const Mean mean = looks ? mean_of_all() : std::nullopt;  // while all are there
  group_->finish();
  if (const double lost = group_->weight_lost(); lost > 0) {
    error_ = "weight " + std::to_string(lost) +
             " of this node is lost: nobody has taken it before the network stood still";
  }
  if (looks) evaluate_with(mean);
  if (options_.checkpoint_every > 0 && group_->is_at_rest()) {
    gossamer::save_checkpoint(*this, checkpoint_path());
  }
}

void Training::train_stretch() {
  const std::uint64_t total = options_.total_images() > 0 ? options_.total_images() : never;
  const std::uint64_t evaluate_at = std::min(total, next_multiple(position(), evaluate_every_));
  const std::uint64_t save_at = next_multiple(position(), options_.checkpoint_every);
  // A simulated group rests where it is saved; where it is looked at, it does not notice.
  const std::uint64_t rest_at = std::min(total, save_at);
  const std::uint64_t target = std::min(rest_at, evaluate_at);
  gossamer::StopCondition until;
  if (rest_at != never) until.samples(rest_at);
  if (options_.seconds > 0) {
    // A run limited by time is evaluated five times too, unless it says how often.
    const double part = options_.evaluate_every > 0 ? options_.seconds : options_.seconds / 5;
    const double end = std::min(options_.seconds, group_->elapsed().count() + part);
    until.duration(gossamer::transport::seconds(end));
  }
  if (estimate_) estimate_->look_at(*group_);  // also at those that are here anew
  group_->run_towards(until, target);
  trained_since_ = true;
  if (signals_.received() != 0) return;
  // Synchronous nodes do their own share, not that of one that is gone: when they have, it counts.
  const bool out_of_time = options_.seconds > 0 && group_->totals().samples < target;
  if (options_.is_process() ? !out_of_time : options_.seconds == 0 && target == rest_at) {
    covered_ = target;
  }
  const std::uint64_t reached = position();
  if (!anybody()) return;
  if (options_.evaluate && !done() && has_news() && (reached >= evaluate_at || reached < target)) {
    evaluate_with(mean_of_all());
  }
  if (reached >= save_at && group_->is_at_rest()) {
    gossamer::save_checkpoint(*this, checkpoint_path());
  }
}

Training::Mean Training::mean_of_all() {
  const auto begin = Clock::now();
  Mean mean;
  try {
    mean = group_->mean();
  } catch (const gossamer::NodeError&) {
    throw;
  } catch (const std::runtime_error& late) {
    progress_->line().say(std::string("no mean model this time: ") + late.what());
  }
  evaluation_seconds_ += since(begin);
  return mean;
}

Training::Evaluation Training::measure(const Mean& mean) {
  const auto replicas = group_->replicas();
  const auto copy = [&](std::shared_ptr<Network>& network, const gossamer::model::Flat& flat) {
    gossamer::observe::copy_into(network, flat, replicas);
    return network.get();
  };
  std::vector<Network*> means;
  means.push_back(copy(weighted_, gossamer::observe::weighted_mean(replicas)));
  if (mean) means.push_back(copy(mean_, *mean));
  const auto scores = evaluate(means, dataset_.test, dataset_.test.size(), options_);
  std::vector<Network*> networks;
  for (CifarNode* node : group_->live()) networks.push_back(node->model().get());
  const auto single = evaluate(networks, dataset_.test, options_.node_test_images, options_);
  const auto [worst, best] =
      std::minmax_element(single.begin(), single.end(),
                          [](const Score& a, const Score& b) { return a.accuracy < b.accuracy; });
  double node_mean = 0;
  for (const Score& one : single) node_mean += one.accuracy;
  node_mean /= static_cast<double>(single.size());
  const auto images = std::min(options_.node_test_images, dataset_.test.size());
  Evaluation found;
  if (energy_) found.emplace_back("joules", energy_.joules(*group_));
  // Of a node in a process of its own, only the others' messages tell.
  const double consensus =
      options_.is_process() ? NAN : gossamer::observe::consensus_error(replicas);
  const Evaluation scored = {{"test_loss", mean ? scores.back().loss : NAN},
                             {"test_accuracy", mean ? scores.back().accuracy : NAN},
                             {"weighted_test_loss", scores.front().loss},
                             {"weighted_test_accuracy", scores.front().accuracy},
                             {"node_test_images", static_cast<std::uint64_t>(images)},
                             {"worst_node_loss", worst->loss},
                             {"worst_node_accuracy", worst->accuracy},
                             {"mean_node_accuracy", node_mean},
                             {"best_node_loss", best->loss},
                             {"best_node_accuracy", best->accuracy},
                             {"consensus_error", consensus},
                             {"effective_nodes", gossamer::observe::effective_nodes(replicas)}};
  found.insert(found.end(), scored.begin(), scored.end());
  const auto estimate = estimate_ ? estimate_->of(group_->state()) : std::nullopt;
  if (estimate) {
    found.emplace_back("consensus_estimate", estimate->error);
    found.emplace_back("consensus_standard_error", estimate->standard_error);
  }
  return found;
}

void Training::evaluate_with(const Mean& mean) {
  const auto begin = Clock::now();
  const Evaluation measured = measure(mean);
  trained_since_ = false;
  evaluation_seconds_ += since(begin);
  group_->evaluated(measured);
  if (options_.quiet) return;
  const auto last = [this](const char* key) { return recorder_->last(key, NAN); };
  const double exact = last("consensus_error");
  char line[160];
  std::snprintf(line, sizeof line,
                "%s images: test accuracy %.4f (mean model), %.4f to %.4f (nodes), loss %.4f, "
                "consensus %s%.4g",
                grouped(group_->totals().samples).c_str(), last("test_accuracy"),
                last("worst_node_accuracy"), last("best_node_accuracy"), last("test_loss"),
                std::isnan(exact) ? "about " : "",
                std::isnan(exact) ? last("consensus_estimate") : exact);
  progress_->line().say(line);
}

void Training::checkpoint(gossamer::Archive& archive) {
  std::string description = options_.description().dump();
  archive("options", description);
  std::string length = options_.length().dump();
  const bool has_length = !archive.loading() || archive.has("length");
  if (has_length) archive("length", length);
  std::string data = dataset_.name;
  archive("dataset", data);
  if (archive.loading()) note_changes(description, length);
  if (data != dataset_.name) {
    throw gossamer::CheckpointError("of a run on data set " + data + ", this one has " +
                                    dataset_.name);
  }
  archive.within("group", [&] { group_->checkpoint(archive); });
  archive("evaluation_seconds", evaluation_seconds_);
  recorder_->checkpoint(archive);
}

void Training::note_changes(const std::string& description, const std::string& length) {
  auto before = nlohmann::ordered_json::parse(description, nullptr, false);
  const auto length_before = nlohmann::ordered_json::parse(length, nullptr, false);
  if (!before.is_object() || !length_before.is_object()) {
    throw gossamer::CheckpointError("of a run whose options cannot be read");
  }
  before.update(length_before);
  auto now = options_.description();
  now.update(options_.length());
  changes_ = resumed_with(before, now, options_.make_rule()->is_synchronous());
}

void Training::load() {
  gossamer::load_checkpoint(*this, checkpoint_path());
  const std::uint64_t images = group_->totals().samples;
  recorder_->rewind(images);
  const gossamer::observe::GroupState state = group_->state();
  double weight = 0;
  for (const auto& node : state.nodes) weight += node.counters.weight;
  progress_->line().say("resumed at " + grouped(images) + " images, weight " +
                        std::to_string(state.weight_of_all.value_or(weight)));
  for (const std::string& one : changes_) progress_->line().say("goes on with " + one);
}

Training::Json Training::summary() {
  const auto replicas = group_->replicas();
  Json text = {
      {"dataset", dataset_.name},
      {"parameters", replicas.empty() ? 0 : replicas.front().model->layout().parameter_count()}};
  text.update(options_.description());
  text.update(recorder_->summary(group_->state()));
  if (energy_) text["joules"] = energy_.joules(*group_);
  text["evaluation_seconds"] = evaluation_seconds_;
  for (const char* key : {"train_loss", "test_loss", "test_accuracy", "consensus_error"}) {
    if (!text.contains(key)) text[key] = nullptr;
  }
  text["digest"] = gossamer::observe::digest(replicas);
  if (signals_.received() != 0) text["signal"] = signals_.received();
  if (!error_.empty()) text["error"] = error_;
  return text;
}

void Training::print_table(const Json& summary) {
  const auto row = [&summary](const char* name, const char* key, const char* format = nullptr,
                              double factor = 1) {
    const auto found = summary.find(key);
    if (found == summary.end() || !found->is_number()) return;
    char cell[64] = "";
    if (format != nullptr) std::snprintf(cell, sizeof cell, format, factor * found->get<double>());
    std::cout << "  " << std::left << std::setw(26) << name
              << (format != nullptr ? cell : grouped(found->get<std::uint64_t>())) << '\n';
  };
  progress_->line().clear();
  const std::size_t nodes = group_->live().size();
  std::cout << '\n'
            << options_.rule << " on " << dataset_.name << ", " << nodes << " node"
            << (nodes == 1 ? "" : "s") << (error_.empty() ? "" : " (ended by an error)") << '\n';
  row("images", "images");
  row("training seconds", "wall_seconds", "%.1f");
  row("virtual seconds", "virtual_seconds", "%.1f");
  row("images per second", "images_per_second", "%.0f");
  row("train loss", "train_loss", "%.4f");
  row("test loss", "test_loss", "%.4f");
  row("accuracy, mean model", "test_accuracy", "%.4f");
  row("accuracy, weighted mean", "weighted_test_accuracy", "%.4f");
  row("accuracy, worst node", "worst_node_accuracy", "%.4f");
  row("accuracy, best node", "best_node_accuracy", "%.4f");
  row("consensus error", "consensus_error", "%.6g");
  row("effective nodes", "effective_nodes", "%.2f");
  row("total weight", "total_weight", "%.12f");
  row("weight", "weight", "%.12f");
  row("messages sent", "messages_sent");
  row("messages returned", "messages_returned");
  row("megabytes sent", "bytes_sent", "%.1f", 1e-6);
  std::cout << "  " << std::setw(26) << "record" << recorder_->record().folder().string() << '\n';
}

}  // namespace cifar10
