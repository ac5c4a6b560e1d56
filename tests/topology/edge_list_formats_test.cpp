// SPDX-License-Identifier: MIT
/// Lists of edges as SNAP, KONECT, MatrixMarket, NetworkX and spreadsheets write them: read whole,
/// or refused with the file's own names for things.
#include <gossamer/error.hpp>
#include <gossamer/topology/edge_list.hpp>

#include <tests/support.hpp>

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace std::string_literals;
using gossamer::ConfigError;
using gossamer::topology::EdgeList;
using gossamer::topology::Edges;
using gossamer::topology::Neighbourhoods;
using gossamer::topology::parse_edge_list;
using gossamer::topology::Place;

/// To whom each node leads.
Neighbourhoods graph(const std::string& text, std::optional<Edges> ways = std::nullopt) {
  const EdgeList list = parse_edge_list(text, "FILE", ways);
  Neighbourhoods all(list.size());
  for (Place place = 0; place < list.size(); ++place) {
    list.neighbours(place, static_cast<Place>(list.size()), 0, all[place]);
  }
  return all;
}
std::string refused(const std::string& text) {
  return tests::message_of<ConfigError>([&] { parse_edge_list(text, "FILE"); });
}

const Neighbourhoods triangle{{1, 2}, {0, 2}, {0, 1}};
const Neighbourhoods circle{{1}, {2}, {0}};
const Neighbourhoods path{{1}, {0, 2}, {1}};

TEST_CASE("SNAP's files have numbers with gaps, counts that hold, and a direction",
          "[topology][parse]") {
  const std::string head =
      "# Directed graph (each unordered pair of nodes is saved once): web.txt \n"
      "# Nodes: 3 Edges: 4\n# FromNodeId\tToNodeId\n";
  CHECK(graph(head + "7\t100\n100\t12000000000\n12000000000\t7\n7\t7\n") ==
        Neighbourhoods{{1}, {2}, {0}});
  CHECK(graph("# Undirected graph: com.txt\n# Nodes: 3 Edges: 2\n3\t4\n4\t9\n") == path);
  CHECK(graph(head + "7 100\n100 8\n8 7\n7 8\n", Edges::both_ways) == triangle);
  CHECK(refused(head + "7\t100\n100\t8\n8\t7\n") == "FILE: says that it has 4 edges, has 3");
  CHECK(refused(head + "7\t100\n100\t7\n7\t7\n100\t7\n") ==
        "FILE: says that it has 3 nodes, has edges of 2");
  CHECK(refused(head + "7 100\n100 8\n8 100\n7 8\n") ==
        "FILE: the graph is not in one piece: node 8 does not lead to node 7");
}

TEST_CASE("KONECT's files are numbered from 1, have weights and times, and say what they are",
          "[topology][parse]") {
  CHECK(graph("% sym unweighted\n% 2 3 3\n1 2\n2 3\n") == path);
  CHECK(graph("% asym posweighted\n% 3 3 3\n1 2 0.5 1082040961\n2 3 1 1082040962\n"
              "3 1 1e3 1082040963\n") == circle);
  CHECK(graph("% sym positive\n% 7 2 2\n1 2 7\n") == Neighbourhoods{{1}, {0}});
  CHECK(refused("% sym unweighted\n% 2 3 3\n1 2\n") == "FILE: says that it has 2 edges, has 1");
  CHECK(refused("% sym unweighted\n% 2 3 3\n1 2\n2 4\n") ==
        "FILE:4: nodes are numbered from 1 to 3, got 4");
  CHECK(refused("% sym unweighted\n0 1\n") == "FILE:2: nodes are numbered from 1, got 0");
  CHECK(refused("% bip unweighted\n1 1\n") ==
        "FILE:1: KONECT: bip: the columns number nodes of two kinds, which no node can be both of");
  CHECK(refused("% sym dynamic\n1 2 +1 5\n1 2 -1 9\n") ==
        "FILE:1: KONECT: dynamic: edges that come and go cannot be read");
}

TEST_CASE("MatrixMarket's files are square, sparse and whole", "[topology][parse]") {
  const std::string banner = "%%MatrixMarket matrix coordinate ";
  CHECK(graph(banner +
              "pattern symmetric\n% Directed graph\n% Nodes: 9 Edges: 9\n3 3 3\n1 1\n2 1\n3 2\n") ==
        path);
  CHECK(graph(banner + "real general\n3 3 3\n1 2 0.5\n2 3 -1e-3\n3 1 2\n") == circle);
  CHECK(graph(banner + "complex hermitian\n3 3 3\n2 1 1 0\n3 1 0 1\n3 2 1 1\n") == triangle);
  CHECK(refused(banner + "pattern symmetric\n3 3 2\n2 1\n") ==
        "FILE: says that it has 2 edges, has 1");
  CHECK(refused(banner + "pattern symmetric\n4 4 2\n2 1\n3 1\n") ==
        "FILE: the graph is not in one piece: node 4 cannot be reached from node 1");
  CHECK(refused(banner + "pattern general\n3 4 1\n1 2\n") ==
        "FILE:2: MatrixMarket: a graph's matrix is square, got 3 rows and 4 columns");
  CHECK(refused(banner + "pattern general\n3 3 1\n1 4\n") ==
        "FILE:3: nodes are numbered from 1 to 3, got 4");
  CHECK(refused(banner + "real general\n3 3 1\n1 2\n") ==
        "FILE:3: must have 3 columns, as what is before it, got '1 2'");
  CHECK(refused("%%MatrixMarket matrix array real general\n") ==
        "FILE:1: MatrixMarket: format must be coordinate, got 'array'");
  CHECK(refused("%%MatrixMarket matrix\n") ==
        "FILE:1: MatrixMarket: must name object, format, field and symmetry, got 1 words");
  CHECK(refused(banner + "real general\n") ==
        "FILE:1: must have a line of rows, columns and entries, got none");
  CHECK(refused(banner + "real general\n3 3\n") ==
        "FILE:2: MatrixMarket: must have rows, columns and entries, got '3' and 1 words more");
  CHECK(refused(banner + "pattern general\n2000000 2000000 1\n1 2\n") ==
        "FILE: must have at most 1000000 nodes, has 2000000");
}

TEST_CASE("NetworkX's files have what they know of an edge in braces", "[topology][parse]") {
  CHECK(graph("#/usr/bin/draw.py\n# GMT Tue Dec  1 05:37:04 2026\n#  \n"
              "0 1 {}\n1 2 {'weight': 1.0, 'colour': '#f00'}\n") == path);
  CHECK(graph("0 1 {'a': 1} # {one}\n1 2 # {two}\n") == path);
  CHECK(graph("0,1,{'a': 1, 'b': 2}\n1,2,{}\n") == path);
  CHECK(graph("0 1 1.0\n1 2 2.5\n") == path);  // write_weighted_edgelist
  // write_adjlist: a node and all its neighbours.
  CHECK(refused("0 1 2\n1 2\n2\n") ==
        "FILE:2: must have 3 columns, as what is before it, got '1 2'");
  CHECK(refused("{}\n0 1\n") ==
        "FILE:1: must be two node numbers, or name one column 'source' and one 'target', got '{}'");
  CHECK(
      refused("0 1 {'a': 1} 2\n") ==
      "FILE:1: must be two node numbers, and at most a weight and a time, got 5 columns without a "
      "header");
}

TEST_CASE("Spreadsheets and tables name their columns, in any order and among others",
          "[topology][parse]") {
  CHECK(graph("Source,Target\n1,2\n2,3\n") == path);
  CHECK(graph(",from,to,weight\r\n0,1,2,0.5\r\n1,2,3,x\r\n,,,\r\n") == path);
  CHECK(graph("\xef\xbb\xbfTo;Label;From;Weight\n2;\"a; \"\"b\"\"\";1;0,5\n3;;2;\n") == path);
  CHECK(graph("id_1,id_2\n5,6\n6,8\n") == path);
  CHECK(graph("\tsource\ttarget\tlabel\n0\t1\t2\ta long one\n1\t2\t3\t\n") == path);
  CHECK(graph("source target\n1 2\n2 3\n") == path);
  CHECK(graph("1;2;0,5\n2;3;1\n") == path);
  // Gephi's say of each edge whether it has a direction.
  CHECK(graph("Source,Target,Type,Id,Label,Weight\n1,2,Directed,0,,1\n2,3,Directed,1,,1\n"
              "3,1,Undirected,2,,1\n") == Neighbourhoods{{1, 2}, {2}, {0}});
  // Excel's "Unicode text".
  std::string wide = "\xff\xfe"s;
  for (const char c : "From\tTo\r\n1\t2\r\n2\t3\r\n"s) wide += {c, '\0'};
  CHECK(graph(wide) == path);

  CHECK(
      refused("a,b\n1,2\n") ==
      "FILE:1: must be two node numbers, or name one column 'source' and one 'target', got 'a,b'");
  CHECK(refused("source,from,target\n1,2,3\n") ==
        "FILE:1: must be two node numbers, or name one column 'source' and one 'target', got "
        "'source,from,target'");
  CHECK(
      refused("alice bob\nbob carol\n") ==
      "FILE:1: must be two node numbers, or name one column 'source' and one 'target', got 'alice "
      "bob'");
  CHECK(refused("source,target\n1,2\n2\n") ==
        "FILE:3: must have 2 columns, as what is before it, got '2'");
  CHECK(refused("source,target\n1,\n") == "FILE:2: must be two node numbers, got ''");
  CHECK(refused("source,target\n\"1,2\n") ==
        "FILE:2: must end its quotes on the line, got '\"1,2'");
}

TEST_CASE("Edges by hand may begin at any number, and repeat, and lead to their own node",
          "[topology][parse]") {
  CHECK(graph("1 2\n2 1\n2 2\n2 3\n") == path);
  CHECK(graph("10, 20\n20, 40 # the long one\n") == path);
  CHECK(graph("40 20\r20 10\r") == path);
  CHECK(graph("0 1\n1 2\n2 0", Edges::one_way) == circle);
  CHECK(refused("5 5\n") == "FILE: a graph needs at least one edge, got none");
  CHECK(refused("5 5\n6 7\n") ==
        "FILE: the graph is not in one piece: node 6 cannot be reached from node 5");
  CHECK(
      refused("1 2 3 4 5\n") ==
      "FILE:1: must be two node numbers, and at most a weight and a time, got 5 columns without a "
      "header");
  CHECK(refused("1 2 three\n") == "FILE:1: a weight or time must be a number, got 'three'");
}

}  // namespace
