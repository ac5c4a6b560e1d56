// SPDX-License-Identifier: MIT
/// Graphs from files: what is read, what is refused and where, and who is met when somebody is
/// gone.
#include <gossamer/error.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/graph_file.hpp>
#include <gossamer/topology/graphml.hpp>

#include <tests/gzipped.hpp>
#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <fstream>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::topology::EdgeList;
using gossamer::topology::Edges;
using gossamer::topology::parse_edge_list;
using gossamer::topology::parse_graphml;
using gossamer::topology::Place;
using tests::ChoiceContext;
using tests::message_of;

std::vector<PeerId> targets(const EdgeList& list, PeerId self, std::vector<PeerId> members) {
  const ChoiceContext context(self, std::move(members));
  const auto peers = list.targets(context);
  return {peers.begin(), peers.end()};
}

std::string refused(const std::string& text) {
  return message_of<ConfigError>([&] { parse_edge_list(text, "FILE"); });
}

std::string refused_xml(const std::string& text) {
  return message_of<ConfigError>([&] { parse_graphml(text, "FILE"); });
}

TEST_CASE("A list of edges is read with comments, blank lines and repetitions",
          "[topology][parse]") {
  const EdgeList list = parse_edge_list("# a kite\n0 1\n1\t2 # there\r\n\n 2  0\n2 3\n3 2", "FILE");
  CHECK(list.size() == 4);
  std::vector<Place> out;
  list.neighbours(2, 4, 0, out);
  CHECK(out == std::vector<Place>{0, 1, 3});
  CHECK(targets(list, 0, {0, 1, 2, 3}) == std::vector<PeerId>{1, 2});
  CHECK(targets(list, 3, {0, 1, 2, 3}) == std::vector<PeerId>{2});

  const EdgeList circle = parse_edge_list("0 1\n1 2\n2 0\n", "FILE", Edges::one_way);
  CHECK(targets(circle, 1, {0, 1, 2}) == std::vector<PeerId>{2});
}

TEST_CASE("A wrong list of edges is refused with file, line and what it should be",
          "[topology][parse]") {
  CHECK(refused("0 1\n1 x\n") == "FILE:2: must be two node numbers, got 'x'");
  CHECK(refused("0 1\n\n1 2 3\n") ==
        "FILE:3: must have 2 columns, as what is before it, got '1 2 3'");
  CHECK(refused("0") == "FILE:1: must be two node numbers, got '0'");
  CHECK(refused("0 -1") == "FILE:1: must be two node numbers, got '-1'");
  CHECK(refused("0 1.5") == "FILE:1: must be two node numbers, got '1.5'");
  CHECK(refused("0 99999999999999999999") ==
        "FILE:1: must be two node numbers, got '99999999999999999999'");
  CHECK(refused("# nothing\n") == "FILE: a graph needs at least one edge, got none");
  CHECK(refused("0 1\n2 3\n") ==
        "FILE: the graph is not in one piece: node 2 cannot be reached from node 0");
  CHECK(message_of<ConfigError>([] {
          EdgeList({{0, 2}});
        }) == "EdgeList: the graph is not in one piece: node 1 cannot be reached from node 0");
  CHECK(message_of<ConfigError>([] { EdgeList({}); }) ==
        "EdgeList: a graph needs at least one edge, got none");
  CHECK(message_of<ConfigError>([] { parse_edge_list("0 1\n0 2\n2 0", "FILE", Edges::one_way); }) ==
        "FILE: the graph is not in one piece: node 1 does not lead to node 0");
  CHECK(message_of<ConfigError>([] {
          EdgeList({{0, 1}, {3, 3}});
        }) == "EdgeList: node 3 is its own neighbour");
  CHECK(message_of<ConfigError>([] {
          EdgeList({{0, 1000000}});
        }) == "EdgeList: node numbers must be below 1000000, got 1000000");
}

TEST_CASE("Files of graphs are read, and those that are not there are named", "[topology][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "ring.edges";
  CHECK(message_of<ConfigError>([&] { gossamer::topology::read_edge_list(path); }) ==
        "graph file " + path.string() + ": cannot be read");
  CHECK(message_of<ConfigError>([&] { gossamer::topology::read_graphml(folder.path()); }) ==
        "graph file " + folder.path().string() + ": cannot be read");
  std::ofstream(path) << "0 1\n1 2\n2 0\n";
  CHECK(gossamer::topology::read_edge_list(path).size() == 3);
  std::ofstream(path) << "0 1\n1 two\n";
  CHECK(message_of<ConfigError>([&] { gossamer::topology::read_edge_list(path); }) ==
        path.string() + ":2: must be two node numbers, got 'two'");
}

TEST_CASE("A node of the list that is gone is passed over", "[topology]") {
  // 0 - 1 - 2 - 3 - 4, and 2 - 5.
  const EdgeList list({{0, 1}, {1, 2}, {2, 3}, {3, 4}, {2, 5}});
  CHECK(targets(list, 1, {0, 1, 2, 3, 4, 5}) == std::vector<PeerId>{0, 2});
  CHECK(targets(list, 1, {0, 1, 3, 4, 5}) == std::vector<PeerId>{0, 3, 5});
  CHECK(targets(list, 3, {0, 1, 3, 4, 5}) == std::vector<PeerId>{1, 4, 5});
  CHECK(targets(list, 1, {0, 1, 4, 5}) == std::vector<PeerId>{0, 4, 5});
  CHECK(targets(list, 0, {0, 4}) == std::vector<PeerId>{4});
  CHECK(targets(list, 0, {0}).empty());

  // One way: only on from those who are gone.
  const EdgeList circle({{0, 1}, {1, 2}, {2, 3}, {3, 0}}, Edges::one_way);
  CHECK(targets(circle, 0, {0, 3}) == std::vector<PeerId>{3});
  CHECK(targets(circle, 3, {1, 3}) == std::vector<PeerId>{1});
}

TEST_CASE("A newcomer that the list does not know is a neighbour of its number modulo n",
          "[topology]") {
  const EdgeList list({{0, 1}, {1, 2}});
  CHECK(targets(list, 4, {0, 1, 2, 4}) == std::vector<PeerId>{1});
  CHECK(targets(list, 1, {0, 1, 2, 4}) == std::vector<PeerId>{0, 2, 4});
  CHECK(targets(list, 0, {0, 1, 2, 4}) == std::vector<PeerId>{1});
  // Its neighbour is gone: then those to whom that one leads, newcomers too.
  CHECK(targets(list, 4, {0, 2, 4, 7}) == std::vector<PeerId>{0, 2, 7});
  CHECK(targets(list, 0, {0, 2, 4, 7}) == std::vector<PeerId>{2, 4, 7});
  CHECK(targets(list, 3, {3, 5}) == std::vector<PeerId>{5});  // 3 - (0 - 1 - 2) - 5
  // The list remembers for whom it has looked.
  ChoiceContext context(1, {0, 1, 2});
  CHECK(list.targets(context).size() == 2);
  context.members = {1, 2};
  CHECK(list.targets(context).size() == 1);
}

constexpr const char* kite = R"(<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="edge" attr.name="weight" attr.type="double"/>
  <graph id="G" edgedefault="undirected">
    <node id="a"/>
    <node id="b"><data key="d1">x</data></node>
    <edge source="a" target="b"/>
    <node id="c"/>
    <node id="d"/>
    <edge source="b" target="c"><data key="d0">1.0</data></edge>
    <edge source="c" target="a"/>
    <edge source="c" target="d"/>
  </graph>
</graphml>
)";

TEST_CASE("GraphML is read with its nodes numbered in their order", "[topology][parse]") {
  const EdgeList list = parse_graphml(kite, "FILE");
  CHECK(list.size() == 4);
  CHECK(targets(list, 0, {0, 1, 2, 3}) == std::vector<PeerId>{1, 2});
  CHECK(targets(list, 2, {0, 1, 2, 3}) == std::vector<PeerId>{0, 1, 3});
  CHECK(targets(list, 3, {0, 1, 2, 3}) == std::vector<PeerId>{2});

  const EdgeList circle = parse_graphml(
      R"(<graphml><graph edgedefault="directed"><node id="0"/><node id="1"/><node id="2"/>
         <edge source="0" target="1"/><edge source="1" target="2"/>
         <edge source="2" target="0" directed="false"/></graph></graphml>)",
      "FILE");
  CHECK(targets(circle, 0, {0, 1, 2}) == std::vector<PeerId>{1, 2});
  CHECK(targets(circle, 1, {0, 1, 2}) == std::vector<PeerId>{2});
}

TEST_CASE("Wrong GraphML is refused with file, line and what it should be", "[topology][parse]") {
  CHECK_THAT(refused_xml("<graphml>\n<graph>\n</graphml>"),
             tests::contains("FILE:2: is not XML: ") || tests::contains("FILE:3: is not XML: "));
  CHECK_THAT(refused_xml(""), tests::contains(": is not XML: XML_ERROR_EMPTY_DOCUMENT"));
  CHECK(refused_xml("\n<svg/>") == "FILE:2: the outermost element must be <graphml>, got <svg>");
  CHECK(refused_xml("<graphml>\n</graphml>") == "FILE:1: must have a <graph>, got none");
  CHECK(refused_xml("<graphml>\n<graph/></graphml>") ==
        "FILE:2: <graph> must have the attribute 'edgedefault', got none");
  CHECK(refused_xml("<graphml>\n<graph edgedefault=\"both\"/></graphml>") ==
        "FILE:2: edgedefault must be 'directed' or 'undirected', got 'both'");
  const auto in_graph = [](const std::string& inside) {
    return refused_xml("<graphml><graph edgedefault=\"undirected\">\n<node id=\"a\"/>\n" + inside +
                       "</graph></graphml>");
  };
  CHECK(in_graph("<node/>") == "FILE:3: <node> must have the attribute 'id', got none");
  CHECK(in_graph("<node id=\"a\"/>") == "FILE:3: node 'a' is there twice");
  CHECK(in_graph("\n<edge source=\"a\"/>") ==
        "FILE:4: <edge> must have the attribute 'target', got none");
  CHECK(in_graph("<edge source=\"a\" target=\"b\"/>") ==
        "FILE:3: target must be a node of the graph, got 'b'");
  CHECK(in_graph("<edge source=\"a\" target=\"a\"/>") ==
        "FILE: a graph needs at least one edge, got none");
  CHECK(in_graph("<hyperedge/>") == "FILE:3: must be a <node> or an <edge>, got <hyperedge>");
  CHECK(in_graph("<node id=\"g\">\n<graph/></node>") ==
        "FILE:4: <node> must not have a <graph> in it");
  CHECK(in_graph("<node id=\"g\"><locator/></node>") ==
        "FILE:3: <node> must not have a <locator> in it");
  CHECK(in_graph("") == "FILE: a graph needs at least one edge, got none");
  CHECK(in_graph("<node id=\"b\"/><edge source=\"a\" target=\"b\" directed=\"no\"/>") ==
        "FILE:3: directed must be 'true' or 'false', got 'no'");
  CHECK(in_graph("<node id=\"b\"/><node id=\"c\"/><edge source=\"a\" target=\"b\"/>") ==
        "FILE: the graph is not in one piece: node 'c' cannot be reached from node 'a'");
  const std::string whole(kite);
  CHECK(refused_xml(whole + "<graphml/>") == "FILE:15: must end after </graphml>");
  CHECK(refused_xml("<graphml><graph edgedefault=\"directed\"/>\n<graph id=\"G2\"/></graphml>") ==
        "FILE:2: must have one <graph>, got another one");
  CHECK(refused_xml("<graphml><!-- Z\xfcrich --></graphml>") ==
        "FILE: is not UTF-8 at byte 15, nor does an XML declaration name another encoding");
}

/// Three cities, the first with a letter that the encodings write in different ways: once as it is,
/// and once as a number.
std::string cities(const std::string& encoding, const std::string& u_umlaut) {
  return "<?xml version=\"1.0\" encoding=\"" + encoding +
         "\"?>\n<graphml><graph edgedefault=\"undirected\"><node id=\"Z" + u_umlaut +
         "rich\"/><node id=\"Bern\"/><node id=\"Genf\"/><edge source=\"Z&#252;rich\" "
         "target=\"Bern\"/><edge source=\"Bern\" target=\"Genf\"/></graph></graphml>\n";
}

TEST_CASE("GraphML in UTF-8, UTF-16, Latin-1 and windows-1252 is the same graph",
          "[topology][parse]") {
  std::string little = "\xff\xfe";
  std::string big;  // without a mark
  for (const char c : cities("UTF-16", "\xfc")) {
    little += {c, '\0'};
    big += {'\0', c};
  }
  for (const std::string& text : {cities("UTF-8", "\xc3\xbc"), cities("ISO-8859-1", "\xfc"),
                                  cities("windows-1252", "\xfc"), little, big}) {
    const EdgeList list = parse_graphml(text, "FILE");
    CHECK(list.size() == 3);
    CHECK(targets(list, 1, {0, 1, 2}) == std::vector<PeerId>{0, 2});
  }
  CHECK(refused_xml(cities("UTF-8", "\xfc")) ==
        "FILE: is not UTF-8 at byte 91, nor does an XML declaration name another encoding");
  CHECK(refused_xml(cities("KOI8-R", "u")) ==
        "FILE: must be in UTF-8, UTF-16, ISO-8859-1 or windows-1252, and be what it says, got the "
        "encoding 'koi8-r'");
  CHECK(refused_xml(cities("UTF-16", "u")) ==
        "FILE: must be in UTF-8, UTF-16, ISO-8859-1 or windows-1252, and be what it says, got the "
        "encoding 'utf-16'");
}

TEST_CASE("Graph files may be packed by gzip, and no other packer", "[topology][parse]") {
  const tests::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& bytes) {
    const auto path = folder.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  };
  const auto table = gossamer::topology::known_with_files();
  CHECK(table.size() == gossamer::topology::known().size() + 1);
  const auto neighbours = [&](const std::string& name) {
    std::vector<Place> out;
    gossamer::topology::graph_from_text(name, {}, table)->neighbours(2, 4, 0, out);
    return out;
  };
  const std::string edges = "1 2\n2 3\n3 1\n3 4\n";
  const std::vector<Place> ends{0, 1, 3};
  CHECK(neighbours("edges:" + write("kite.txt", edges)) == ends);
  CHECK(neighbours("edges:" + write("kite.txt.gz", tests::gzipped(edges))) == ends);
  CHECK(neighbours("graphml:" + write("kite.graphml", kite)) == ends);
  CHECK(neighbours("graphml:" + write("kite.graphmlz", tests::gzipped(kite))) == ends);
  const auto cut = write("cut.gz", tests::gzipped(edges).substr(0, 25));
  CHECK(message_of<ConfigError>([&] { gossamer::topology::read_edge_list_gz(cut); }) ==
        cut + ": gzip: ends in the middle");
  CHECK(message_of<ConfigError>([&] { gossamer::topology::read_edge_list(cut); }) ==
        cut + ": must be unpacked, is compressed with gzip (topology/graph_file.hpp reads it)");
  CHECK(message_of<ConfigError>([&] {
          gossamer::topology::read_graphml_gz(write("kite.graphml.bz2", "BZh91AY"));
        }) == (folder.path() / "kite.graphml.bz2").string() +
                  ": must be unpacked, is compressed with bzip2");
}

}  // namespace
