// SPDX-License-Identifier: MIT
/// The dashboard's rows. It in a terminal: examples/dashboard_test.py.
#include <gossamer/observe/dashboard_rows.hpp>
#include <gossamer/observe/detail/terminal_text.hpp>
#include <gossamer/observe/watch_state.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using gossamer::Counters;
using gossamer::PeerId;
using gossamer::observe::dashboard_page;
using gossamer::observe::DashboardLook;
using gossamer::observe::DashboardOrder;
using gossamer::observe::DashboardPage;
using gossamer::observe::DashboardRates;
using gossamer::observe::WatchView;
using gossamer::observe::detail::TerminalText;
using Style = DashboardPage::Style;

/// Node 0 here, the others elsewhere; node i has taken 1000 i steps.
WatchView a_view(std::size_t nodes) {
  WatchView view;
  view.about = {{"rule", "gosgd(0.02)"}, {"network", "Caf\xc3\xa9\n"}};
  view.running = true;
  view.group.emplace();
  view.group->elapsed = 75;
  view.group->totals.steps = 1'234'567;
  view.group->totals.bytes_sent = 12'345'678'901;
  view.curves["train_loss"].add(1, 0.625);
  for (std::size_t i = 0; i < nodes; ++i) {
    WatchView::Node node;
    node.id = static_cast<PeerId>(i);
    node.here = i == 0;
    node.state = i == 0 ? "compute" : "connected";
    Counters counters;
    counters.steps = 1000 * i;
    counters.samples = 20'000 * i;
    counters.weight = 1 / static_cast<double>(nodes);
    counters.loss_sum = static_cast<double>(i * i) * 1000;
    counters.messages_sent = 17;
    node.counters = counters;
    if (i > 0) {
      node.address = "10.0.0." + std::to_string(i) + ":40001";
      node.age = 0.25 * static_cast<double>(i);
      node.round_trip = 0.0125;
    }
    view.nodes.push_back(node);
  }
  for (int i = 0; i < 200; ++i) view.events.push_back({i + 0.5, 3, "suspected"});
  return view;
}

std::string text_of(const DashboardPage& page) {
  std::string text;
  for (const DashboardPage::Row& row : page.rows) text += row.text + "\n";
  return text;
}
/// The numbers in the table's first column.
std::vector<int> numbers_of(const DashboardPage& page) {
  std::vector<int> numbers;
  const auto head = std::find_if(page.rows.begin(), page.rows.end(),
                                 [](const auto& row) { return row.style == Style::reverse; });
  for (std::size_t i = 1; i <= page.shown; ++i) numbers.push_back(std::stoi(head[i].text));
  return numbers;
}

}  // namespace

TEST_CASE("A page of the dashboard has its size, whatever it shows", "[observe][dashboard]") {
  for (const std::size_t nodes : {0U, 1U, 8U, 200U}) {
    const WatchView view = a_view(nodes);
    for (const std::size_t width : {0U, 1U, 40U, 80U, 200U}) {
      for (std::size_t height = 0; height <= 60; height = height < 12 ? height + 1 : height + 24) {
        CAPTURE(nodes, width, height);
        DashboardLook look;
        look.width = width;
        look.height = height;
        look.log = {"one", "two\twords\033[1m", std::string(300, 'x')};
        look.progress = "1,234 / 5,000 images";
        const DashboardPage page = dashboard_page(view, look);
        REQUIRE(page.rows.size() == height);
        for (const auto& row : page.rows) {
          REQUIRE(row.text.size() <= width);
          REQUIRE(std::all_of(row.text.begin(), row.text.end(),
                              [](char c) { return c >= ' ' && c <= '~'; }));
        }
        CHECK(page.nodes == nodes);
        CHECK(page.first + page.shown <= nodes);
        if (height >= 12 && nodes > 0 && width >= 40) CHECK(page.shown > 0);
      }
    }
  }
}

TEST_CASE("A narrow dashboard shows what matters most, a wide one all", "[observe][dashboard]") {
  const auto head_of = [](std::size_t width) {
    DashboardLook look;
    look.width = width;
    return dashboard_page(a_view(8), look).rows.at(2).text;
  };
  CHECK(head_of(40) == " node     steps    loss state        ");
  CHECK(head_of(80) ==
        " node     steps steps/s    loss  weight      sent    bytes     age state        ");
  CHECK(head_of(200) ==
        " node where                     steps steps/s   samples    loss  weight      sent    "
        "merged  "
        "returned    bytes     trip     age state        ");
}

TEST_CASE("The dashboard's numbers are the view's", "[observe][dashboard]") {
  WatchView view = a_view(8);
  view.nodes[7].counters.reset();
  view.nodes[7].state = "lost";
  view.nodes[6].state = "left";
  DashboardRates rates;
  rates.look_at(view);
  view.group->elapsed += 4;
  view.nodes[2].counters->steps += 10;
  view.nodes[2].counters->loss_sum += 25;
  rates.look_at(view);
  DashboardLook look;
  look.width = 200;
  look.rates = &rates;
  look.progress = "half of it";
  look.log = {"a line"};
  const DashboardPage page = dashboard_page(view, look);
  CHECK(page.rows[0].text.find("gossamer " GOSSAMER_VERSION
                               "  running 1:19  rule gosgd(0.02)  network Caf???") == 0);
  CHECK(page.rows[1].text ==
        "steps 1,234,567  samples 0  loss 0.625  messages 0 sent, 0 merged, 0 returned, 12.3 GB");
  CHECK(page.rows[2].text == "half of it");
  CHECK(
      page.rows[4].text ==
      "    0 here                          0       0         0       -   0.125        17         0"
      "         0      0 B        -       - compute      ");
  CHECK(
      page.rows[6].text ==
      "    2 10.0.0.2:40001            2,010     2.5    40,000     2.5   0.125        17         0"
      "         0      0 B  12.5 ms   0.5 s connected    ");
  CHECK(page.rows[11].text.find("    7 10.0.0.7:40001                -       -         -") == 0);
  CHECK(page.rows[10].style == Style::dim);
  CHECK(page.rows[11].style == Style::alarm);
  CHECK(page.rows[5].style == Style::plain);
  CHECK(page.rows[21].text == "3:20  node 3 suspected");
  CHECK(page.rows[22].text == "a line");
  CHECK(page.rows[23].text == "q leave  s sort: node  nodes 1 to 8 of 8  j/k arrows scroll");
}

TEST_CASE("The dashboard's table scrolls to its end and no further", "[observe][dashboard]") {
  const WatchView view = a_view(200);
  DashboardLook look;
  const DashboardPage top = dashboard_page(view, look);
  CHECK(top.first == 0);
  CHECK(numbers_of(top).front() == 0);
  look.first = 7;
  CHECK(numbers_of(dashboard_page(view, look)).front() == 7);
  look.first = 100'000;
  const DashboardPage end = dashboard_page(view, look);
  CHECK(end.first + end.shown == 200);
  CHECK(end.shown == top.shown);
  CHECK(numbers_of(end).back() == 199);
  CHECK_THAT(text_of(end), tests::contains(" of 200  j/k"));
}

TEST_CASE("The dashboard's table is sorted as is wanted", "[observe][dashboard]") {
  WatchView view = a_view(4);
  DashboardRates rates;
  rates.look_at(view);
  view.nodes[1].counters->weight = 0.9;
  view.nodes[2].state = "a state";
  view.nodes[3].counters.reset();
  const auto order = [&](DashboardOrder wanted) {
    DashboardLook look;
    look.order = wanted;
    look.rates = &rates;
    return numbers_of(dashboard_page(view, look));
  };
  CHECK(order(DashboardOrder::number) == std::vector{0, 1, 2, 3});
  CHECK(order(DashboardOrder::steps) == std::vector{0, 1, 2, 3});
  view.nodes[0].counters->steps = 5000;
  CHECK(order(DashboardOrder::steps) == std::vector{1, 2, 0, 3});
  CHECK(order(DashboardOrder::speed) == std::vector{0, 1, 2, 3});
  CHECK(order(DashboardOrder::loss) == std::vector{3, 2, 1, 0});  // 0 has taken no step
  CHECK(order(DashboardOrder::weight) == std::vector{1, 0, 2, 3});
  CHECK(order(DashboardOrder::age) == std::vector{3, 2, 1, 0});
  CHECK(order(DashboardOrder::state) == std::vector{2, 0, 1, 3});
}

TEST_CASE("The dashboard shows what callbacks were told", "[observe][dashboard]") {
  using namespace std::chrono_literals;
  gossamer::observe::WatchState state(gossamer::observe::WatchState::About{{"rule", "gosgd"}});
  CHECK(dashboard_page(state.view(), {}).rows[0].text == "gossamer " GOSSAMER_VERSION
                                                         "  not begun  rule gosgd");
  state.on_start(1s, 0, 1, 0.5);
  gossamer::observe::GroupState group;
  state.on_run_begin(1s, group);
  state.on_step(1s, 0);
  Counters counters;
  counters.steps = 12'345;
  group.nodes = {{0, counters}};
  group.totals = counters;
  group.elapsed = 3s;
  state.on_tick(2s, group);
  const std::string text = text_of(dashboard_page(state.view(), {}));
  CHECK_THAT(text, tests::contains("running 0:03"));
  CHECK_THAT(text, tests::contains("    0    12,345       -"));
  CHECK_THAT(text, tests::contains(" compute"));
}

TEST_CASE("What is written to a terminal becomes lines", "[observe][dashboard]") {
  TerminalText text;
  using Lines = std::vector<std::string>;
  CHECK(text.add("one\ntw") == Lines{"one"});
  CHECK(text.open_line() == "tw");
  CHECK(text.add("o\r\n\nthree\r") == Lines{"two", ""});
  CHECK(text.open_line() == "three");
  CHECK(text.add("\r10 %  left 0:10\033").empty());
  CHECK(text.add("[K").empty());
  CHECK(text.open_line() == "10 %  left 0:10");
  CHECK(text.add("\r20 %\033[K").empty());
  CHECK(text.open_line() == "20 %");
  CHECK(text.add("\r\033[Ka \033[1;31mred\033[0m line\n") == Lines{"a red line"});
  CHECK(text.open_line().empty());
  CHECK(text.add(std::string(10'000, 'x') + "\n").at(0).size() == 4096);
}
