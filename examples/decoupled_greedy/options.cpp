// SPDX-License-Identifier: MIT
/// Reads the command line.
#include <gossamer/codec/registry.hpp>
#include <gossamer/error.hpp>
#include <gossamer/version.hpp>
#include <shared/validators.hpp>

#include <CLI/CLI.hpp>
#include <c10/util/StringUtil.h>
#include <decoupled_greedy/options.hpp>

#include <iostream>
#include <vector>

namespace decoupled {
namespace {

using examples::Adder;
using examples::one_of;
using examples::positive;
using examples::within;
using gossamer::ConfigError;

void add_training(CLI::App& app, Options& o) {
  const Adder add{app, "Network and training"};
  add("--data", o.data,
      "Folder with CIFAR-10's binary version, or its parent (also: GOSSAMER_DATA)", {}, false)
      ->envname("GOSSAMER_DATA");
  add("--network", o.network, "The small network, or that of the experiments with buffers",
      one_of(network_names()));
  add("--width", o.width, "Channels of the first convolution (the authors: 128)", within(1, 4096));
  add("--modules", o.modules, "Into how many modules it is cut (default: one per block)",
      within(1, 6), false);
  add("--mode", o.mode,
      "backprop: all of it by one gradient; sync: modules in their order; async: their turns are\n"
      "drawn, buffers between them; threads: each on its own; tcp: each in its own process",
      one_of({"backprop", "sync", "async", "threads", "tcp"}));
  add("--images", o.images, "That every module trains on", positive());
  add("--train-images", o.train_images, "How many of the training images there are",
      within(1, 50'000));
  add("--batch", o.batch, "Images per step", within(2, 65'535));
  add("--learning-rate", o.learning_rate, "Divided by 5 after 30, 60 and 90 % of the steps",
      positive());
  add("--momentum", o.momentum, "Of SGD", within(0, 1, true));
  add("--weight-decay", o.weight_decay, "Of SGD", within(0, 1));
  add("--seed", o.seed, "Of everything random");
}

void add_links(CLI::App& app, Options& o) {
  const Adder add{app, "Between modules"};
  add("--buffer", o.buffer, "Batches that a buffer holds", within(1, 100'000));
  add("--max-reuse", o.max_reuse,
      "How often a module may train on one batch; 0: no bound (default: 2 for threads and tcp)", {},
      false);
  add("--slow-module", o.slow_module, "Number of a module on a slow machine, from 0", within(0, 5),
      false);
  add("--slowdown", o.slowdown, "How many times slower it is", within(1, 1e6));
  add("--activations", o.activations,
      "How they travel: float32, vq (indices into codebooks), or a codec, such as int8 or int4");
  add("--group", o.quantizer.group(), "vq: channels that share a codebook", within(1, 4096));
  add("--codes", o.quantizer.codes(), "vq: codewords of a codebook", within(2, 256));
  add("--decay", o.quantizer.decay(), "vq: what a codebook keeps of its past per batch",
      within(0, 1, true));
  add("--update-every", o.quantizer.update_every(), "vq: batches from one update to the next",
      within(1, 1e9));
}

void add_record(CLI::App& app, Options& o) {
  const Adder add{app, "Record"};
  add("--evaluate-every", o.evaluate_every, "Images from one evaluation to the next", positive());
  add("--test-images", o.test_images, "On which modules are measured", within(1, 10'000));
  add("--out", o.out, "Run folder (default: runs/ and the time)", {}, false);
  add("--save-every", o.save_every, "tcp: steps from one saved module to the next", positive());
  add.flag("--resume", o.resume, "tcp: goes on with the module saved in the run folder");
  add.flag("--quiet", o.quiet, "No progress, only the result");
}

}  // namespace

void Options::check() {
  const auto blocks = block_count(network);
  if (mode == "backprop") {
    if (modules > 1) {
      throw ConfigError(c10::str("--modules: --mode backprop has 1, got ", modules));
    }
    modules = 1;
  }
  if (modules == 0) modules = blocks;
  if (modules > blocks) {
    throw ConfigError(
        c10::str("--modules: must lie in [1, ", blocks, "] for ", network, ", got ", modules));
  }
  const bool is_slow = slow_module >= 0 || slowdown > 1;
  if (is_slow && (slow_module < 0 || !(slowdown > 1))) {
    throw ConfigError("--slow-module and --slowdown: need each other, and a --slowdown above 1");
  }
  if (is_slow && (mode == "backprop" || mode == "sync")) {
    throw ConfigError("--slow-module: needs --mode async, threads or tcp, got " + mode);
  }
  if (slow_module >= modules) {
    throw ConfigError(
        c10::str("--slow-module: must lie in [0, ", modules - 1, "], got ", slow_module));
  }
  if (steps() == 0) {
    throw ConfigError(
        c10::str("--images: must be at least one --batch of ", batch, ", got ", images));
  }
  if (resume && (mode != "tcp" || out.empty())) {
    throw ConfigError("--resume: needs --mode tcp and --out");
  }
  if (activations == "vq" && modules > 1 && width % quantizer.group() != 0) {
    throw ConfigError(
        c10::str("--group: must divide --width, which is ", width, ", got ", quantizer.group()));
  }
  (void)format({width, 1, 1});
}

gossamer::pipeline::ActivationFormat Options::format(
    const std::vector<std::int64_t>& sample) const {
  if (activations == "vq") return {sample, quantizer};
  return {sample, gossamer::codec::from_name(activations == "float32" ? "exact" : activations)};
}

std::optional<int> Options::parse(int argc, char** argv) {
  CLI::App app(
      "Modules of a network learn CIFAR-10 by heads of their own; nothing goes back from one to\n"
      "the one before it.\n\n"
      "  decoupled_greedy --data DIR                                  3 modules in step\n"
      "  decoupled_greedy --data DIR --mode backprop                  the same network whole\n"
      "  decoupled_greedy --data DIR --network six --mode async --slow-module 3 --slowdown 2\n"
      "  decoupled_greedy --data DIR --network six --mode threads --activations vq\n",
      "decoupled_greedy");
  app.set_version_flag("--version", GOSSAMER_VERSION);
  app.get_formatter()->column_width(34);
  add_training(app, *this);
  add_links(app, *this);
  add_record(app, *this);
  process.add_to(app, "Processes (--mode tcp, one per module)");
  const auto refuse = [](const std::string& why) {
    std::cerr << "decoupled_greedy: " << why << '\n';
    return 2;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return refuse(error.what());
  }
  // Modules that go at their own pace must not learn a few batches by heart.
  const bool is_apart = mode == "threads" || mode == "tcp";
  if (is_apart && app.count("--max-reuse") == 0) max_reuse = 2;
  try {
    check();
    if (mode == "tcp") process.find_place(static_cast<std::size_t>(modules), true);
    if (mode == "tcp" && process.number >= static_cast<std::uint32_t>(modules)) {
      return refuse(c10::str("--rank: must lie in [0, ", modules - 1, "], got ", process.number));
    }
    if (mode != "tcp" && process.rank >= 0) return refuse("--rank: needs --mode tcp, got " + mode);
  } catch (const ConfigError& error) {
    return refuse(error.what());
  }
  return std::nullopt;
}

nlohmann::ordered_json Options::description() const {
  nlohmann::ordered_json text = {{"network", network},
                                 {"width", width},
                                 {"modules", modules},
                                 {"mode", mode},
                                 {"images", images},
                                 {"train_images", train_images},
                                 {"batch", batch},
                                 {"learning_rate", learning_rate},
                                 {"momentum", momentum},
                                 {"weight_decay", weight_decay},
                                 {"activations", activations},
                                 {"seed", seed}};
  if (mode != "backprop" && mode != "sync") {
    text["buffer"] = buffer;
    text["max_reuse"] = max_reuse;
    text["slow_module"] = slow_module;
    text["slowdown"] = slowdown;
  }
  if (activations == "vq") {
    text["group"] = quantizer.group();
    text["codes"] = quantizer.codes();
    text["decay"] = quantizer.decay();
    text["update_every"] = quantizer.update_every();
  }
  return text;
}

}  // namespace decoupled
