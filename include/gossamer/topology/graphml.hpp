// SPDX-License-Identifier: MIT
/// A graph from a GraphML file. Needs TinyXML-2, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/topology/detail/text_encoding.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/registry.hpp>

#include <tinyxml2.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::topology {

namespace detail {

/// Walks through the first graph of a GraphML document.
class GraphmlReader {
 public:
  GraphmlReader(std::string_view bytes, const std::string& where) : where_(where) {
    const std::string text = as_utf8(bytes, where);
    if (const std::size_t wrong = first_not_utf8(text); wrong < text.size()) {
      throw ConfigError(where + ": is not UTF-8 at byte " + std::to_string(wrong) +
                        ", nor does an XML declaration name another encoding");
    }
    if (document_.Parse(text.data(), text.size()) != tinyxml2::XML_SUCCESS) {
      refuse(document_.ErrorLineNum(), std::string("is not XML: ") + document_.ErrorName());
    }
  }

  EdgeList read() {
    const Element* root = document_.RootElement();
    if (root == nullptr || name_of(root) != "graphml") {
      refuse(line_of(root), "the outermost element must be <graphml>, got " + shown(root));
    }
    for (const auto* rest = root->NextSibling(); rest != nullptr; rest = rest->NextSibling()) {
      if (rest->ToComment() == nullptr) refuse(rest->GetLineNum(), "must end after </graphml>");
    }
    const Element* graph = root->FirstChildElement("graph");
    if (graph == nullptr) refuse(line_of(root), "must have a <graph>, got none");
    if (const Element* second = graph->NextSiblingElement("graph")) {
      refuse(line_of(second), "must have one <graph>, got another one");
    }
    directed_ = is_one_of(graph, "edgedefault", "directed", "undirected");
    for (const Element* one = graph->FirstChildElement("node"); one != nullptr;
         one = one->NextSiblingElement("node")) {
      add_node(one);
    }
    for (const Element* one = graph->FirstChildElement(); one != nullptr;
         one = one->NextSiblingElement()) {
      if (name_of(one) == "edge") add_edge(one);
      if (!is_any_of(name_of(one), {"node", "edge", "data", "desc"})) {
        refuse(line_of(one), "must be a <node> or an <edge>, got " + shown(one));
      }
    }
    return {edges_, Edges::one_way, names_, where_};
  }

 private:
  using Element = tinyxml2::XMLElement;

  [[noreturn]] void refuse(int line, const std::string& what) const {
    throw ConfigError(where_ + ":" + std::to_string(line) + ": " + what);
  }
  static int line_of(const Element* element) {
    return element != nullptr ? element->GetLineNum() : 1;
  }
  static std::string_view name_of(const Element* element) { return element->Name(); }
  static std::string shown(const Element* element) {
    return element != nullptr ? "<" + std::string(element->Name()) + ">" : "nothing";
  }

  static bool is_any_of(std::string_view name, std::initializer_list<std::string_view> all) {
    return std::find(all.begin(), all.end(), name) != all.end();
  }
  /// Refuses what would be lost: graphs inside of a node or an edge, and nodes in other files.
  void refuse_hidden(const Element* in) const {
    for (const char* name : {"graph", "locator"}) {
      if (const Element* hidden = in->FirstChildElement(name)) {
        refuse(line_of(hidden), shown(in) + " must not have a " + shown(hidden) + " in it");
      }
    }
  }

  [[nodiscard]] std::string attribute(const Element* element, const char* name) const {
    const char* value = element->Attribute(name);
    if (value == nullptr) {
      refuse(line_of(element),
             shown(element) + " must have the attribute '" + name + "', got none");
    }
    return value;
  }
  /// True for the first value, false for the second.
  [[nodiscard]] bool is_one_of(const Element* element, const char* name, const char* yes,
                               const char* no) const {
    const std::string value = attribute(element, name);
    if (value != yes && value != no) {
      refuse(line_of(element),
             std::string(name) + " must be '" + yes + "' or '" + no + "', got '" + value + "'");
    }
    return value == yes;
  }

  void add_node(const Element* node) {
    const std::string id = attribute(node, "id");
    if (!numbers_.emplace(id, static_cast<PeerId>(numbers_.size())).second) {
      refuse(line_of(node), "node '" + id + "' is there twice");
    }
    if (numbers_.size() > EdgeList::most_nodes) {
      refuse(line_of(node), "must have at most " + std::to_string(EdgeList::most_nodes) + " nodes");
    }
    refuse_hidden(node);
    names_.push_back("'" + id + "'");
  }
  void add_edge(const Element* edge) {
    const PeerId from = number(edge, "source");
    const PeerId to = number(edge, "target");
    refuse_hidden(edge);
    bool one_way = directed_;
    if (edge->Attribute("directed") != nullptr) {
      one_way = is_one_of(edge, "directed", "true", "false");
    }
    if (from == to) return;
    edges_.emplace_back(from, to);
    if (!one_way) edges_.emplace_back(to, from);
  }
  [[nodiscard]] PeerId number(const Element* edge, const char* end) const {
    const std::string id = attribute(edge, end);
    const auto at = numbers_.find(id);
    if (at == numbers_.end()) {
      refuse(line_of(edge), std::string(end) + " must be a node of the graph, got '" + id + "'");
    }
    return at->second;
  }

  const std::string& where_;
  tinyxml2::XMLDocument document_;
  bool directed_ = false;
  std::map<std::string, PeerId> numbers_;
  std::vector<std::string> names_;  // as the sentences show them
  std::vector<EdgeList::Edge> edges_;
};

}  // namespace detail

/// Reads GraphML (http://graphml.graphdrawing.org), as NetworkX, igraph, Gephi and yEd write it, in
/// UTF-8, UTF-16, ISO-8859-1 or windows-1252. Its nodes get the numbers 0, 1, ... in the order in
/// which they stand there; edges go one way or both, as they say or as `edgedefault` says, and
/// those of a node to itself add nothing; keys, data and ports are passed over. Throws ConfigError,
/// which names `where` (the file, say), the line, what it should be, and nodes by their ids; also
/// for what would be lost: a second graph, graphs inside of nodes, hyperedges.
inline EdgeList parse_graphml(std::string_view text, const std::string& where) {
  return detail::GraphmlReader(text, where).read();
}

/// Reads GraphML from a file.
inline EdgeList read_graphml(const std::filesystem::path& path) {
  return parse_graphml(read_graph_file(path), path.string());
}

/// The line of GraphML files in a table of topologies: "graphml:FILE".
inline Entry graphml_entry() {
  return {{"graphml:FILE"},
          "neighbours in a GraphML file",
          "",
          [](const NamedParameters& p, const RegistryOptions&) -> Made {
            return read_graphml(p.text(0));
          }};
}

}  // namespace gossamer::topology
