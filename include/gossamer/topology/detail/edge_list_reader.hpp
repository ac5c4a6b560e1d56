// SPDX-License-Identifier: MIT
/// Lists of edges as programs write them: see `topology::parse_edge_list`.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/topology/detail/text_encoding.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace gossamer::topology::detail {

/// What a file says of a graph.
struct EdgeFile {
  struct Edge {
    PeerId from;
    PeerId to;
    std::optional<bool> one_way;  ///< nothing: the file does not say
  };
  std::vector<Edge> edges;         ///< between two nodes, none of a node to itself
  std::vector<std::string> names;  ///< what the file calls node 0, 1, ...
};

/// Reads one file, line by line. `most_nodes` is how many it may have.
class EdgeListReader {
 public:
  EdgeListReader(std::string_view bytes, const std::string& where, std::size_t most_nodes)
      : text_(as_utf8(bytes, where)), where_(where), most_nodes_(most_nodes) {}

  EdgeFile read() {
    std::string_view rest = text_;
    while (!rest.empty()) {
      ++line_;
      const std::string_view one = rest.substr(0, rest.find_first_of("\r\n"));
      rest.remove_prefix(one.size());
      rest.remove_prefix(rest.starts_with("\r\n") ? 2 : std::min<std::size_t>(rest.size(), 1));
      read_line(one);
    }
    if (is_matrix_ && !nodes_) refuse("must have a line of rows, columns and entries, got none");
    if (edges_ && *edges_ != rows_.size()) {
      throw ConfigError(where_ + ": says that it has " + std::to_string(*edges_) + " edges, has " +
                        std::to_string(rows_.size()));
    }
    return result();
  }

 private:
  using Cells = std::vector<std::string_view>;
  struct Row {
    std::uint64_t from;
    std::uint64_t to;
    std::optional<bool> one_way;
  };
  static constexpr std::string_view blank = " \t";

  [[noreturn]] void refuse(const std::string& what) const {
    throw ConfigError(where_ + ":" + std::to_string(line_) + ": " + what);
  }

  static std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(blank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blank) + 1 - begin);
  }
  static Cells words_of(std::string_view text) {
    Cells words;
    for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
      words.push_back(text.substr(0, text.find_first_of(blank)));
      text.remove_prefix(words.back().size());
    }
    return words;
  }
  static std::optional<std::uint64_t> whole(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
  }
  /// With a comma for the point where a semicolon stands between the cells.
  [[nodiscard]] bool is_number(std::string_view cell) const {
    std::string text(cell.substr(cell.starts_with('+') ? 1 : 0));
    if (separator_ == ';') std::replace(text.begin(), text.end(), ',', '.');
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error != std::errc::invalid_argument && end == text.data() + text.size();
  }

  void read_line(std::string_view whole_line) {
    const std::string_view line = trimmed(whole_line);
    if (line.empty()) return;
    if (line_ == 1 && in_lower_case(line.substr(0, 14)) == "%%matrixmarket") {
      read_banner(words_of(in_lower_case(line)));
    } else if (line.front() == '#' || line.front() == '%') {
      read_comment(words_of(line.substr(1)));
    } else if (is_matrix_ && !nodes_) {
      read_size(words_of(line));
    } else {
      read_row(whole_line);
    }
  }

  /// `%%MatrixMarket matrix coordinate FIELD SYMMETRY`
  void read_banner(const Cells& words) {
    const auto must_be = [this](std::string_view got, std::vector<std::string_view> known,
                                const char* what) {
      std::string all;
      for (const std::string_view one : known) all += (all.empty() ? "" : ", ") + std::string(one);
      if (std::find(known.begin(), known.end(), got) == known.end()) {
        refuse("MatrixMarket: " + std::string(what) + " must be " + all + ", got '" +
               std::string(got) + "'");
      }
    };
    if (words.size() != 5) {
      refuse("MatrixMarket: must name object, format, field and symmetry, got " +
             std::to_string(words.size() - 1) + " words");
    }
    must_be(words[1], {"matrix"}, "object");
    must_be(words[2], {"coordinate"}, "format");
    must_be(words[3], {"pattern", "real", "double", "integer", "complex"}, "field");
    must_be(words[4], {"general", "symmetric", "skew-symmetric", "hermitian"}, "symmetry");
    is_matrix_ = true;
    one_way_ = words[4] == "general";
    columns_ = words[3] == "pattern" ? 2 : (words[3] == "complex" ? 4 : 3);
  }
  void read_size(const Cells& words) {
    std::vector<std::uint64_t> numbers;
    for (const std::string_view word : words) {
      if (const auto number = whole(word)) numbers.push_back(*number);
    }
    if (numbers.size() != 3 || words.size() != 3) {
      refuse("MatrixMarket: must have rows, columns and entries, got '" +
             std::string(words.front()) + "' and " + std::to_string(words.size() - 1) +
             " words more");
    }
    if (numbers[0] != numbers[1]) {
      refuse("MatrixMarket: a graph's matrix is square, got " + std::to_string(numbers[0]) +
             " rows and " + std::to_string(numbers[1]) + " columns");
    }
    nodes_ = numbers[0];
    edges_ = numbers[2];
    check_size(numbers[0]);
  }

  /// What KONECT and SNAP say of a graph in comments.
  void read_comment(const Cells& words) {
    const bool has_kind = words.size() >= 2 && line_ == 1 && text_[0] == '%';
    if (has_kind && (words[0] == "sym" || words[0] == "asym" || words[0] == "bip")) {
      if (words[0] == "bip") {
        refuse("KONECT: bip: the columns number nodes of two kinds, which no node can be both of");
      }
      if (words[1] == "dynamic") refuse("KONECT: dynamic: edges that come and go cannot be read");
      is_konect_ = true;
      counts_edges_ = words[1] != "positive";  // else a line may stand for several edges
      one_way_ = words[0] == "asym";
    } else if (line_ == 2 && is_konect_ && words.size() >= 2) {
      if (counts_edges_) edges_ = whole(words[0]);
      nodes_ = whole(words[1]);
    } else if (is_matrix_ || is_konect_) {
      return;
    } else if (words.size() == 4 && words[0] == "Nodes:" && words[2] == "Edges:") {
      nodes_ = whole(words[1]);
      edges_ = whole(words[3]);
    } else if (words.size() >= 2 && in_lower_case(words[1]).starts_with("graph") && rows_.empty()) {
      const std::string kind = in_lower_case(words[0]);
      if (kind == "directed" || kind == "undirected") one_way_ = kind == "directed";
    }
  }

  /// What stands between the cells, by the first line that is no comment.
  [[nodiscard]] static char separator_of(std::string_view line) {
    line = line.substr(0, line.find_first_of("#{"));
    for (const char one : {';', ','}) {
      if (line.find(one) != std::string_view::npos) return one;
    }
    const Cells words = words_of(line);
    const bool has_tab = line.find('\t') != std::string_view::npos;
    // A table with a header may have cells that are empty or have blanks.
    return has_tab && !words.empty() && !whole(words[0]) ? '\t' : ' ';
  }

  void read_row(std::string_view line) {
    const bool is_first = rows_.empty() && !has_header_ && !is_matrix_;
    if (is_first) separator_ = separator_of(line);
    const Cells cells = cells_of(without_attributes(line));
    const auto any = [&](const auto& what) {
      return std::any_of(cells.begin(), cells.end(), what);
    };
    if (separator_ != ' ' && !any([](const auto& cell) { return !cell.empty(); })) return;
    if (is_first) {
      if (!any([](const auto& cell) { return whole(cell).has_value(); })) {
        return read_header(cells, line);
      }
      columns_ = cells.size();
    }
    if (cells.size() != columns_ || columns_ < 2) {
      refuse((columns_ < 2
                  ? "must be two node numbers"
                  : "must have " + std::to_string(columns_) + " columns, as what is before it") +
             ", got '" + std::string(trimmed(line)) + "'");
    }
    if (!has_header_) check_weights(cells);
    Row row{node(cells[from_]), node(cells[to_]), one_way_};
    if (type_) {
      const std::string kind = in_lower_case(cells[*type_]);
      if (kind == "directed" || kind == "undirected") row.one_way = kind == "directed";
    }
    rows_.push_back(row);
  }

  /// Without a comment behind it, and without what NetworkX writes of an edge: {'weight': 1}.
  [[nodiscard]] std::string_view without_attributes(std::string_view line) const {
    if (has_header_ || separator_ == '\t') return line;
    std::size_t comment = line.find(separator_ == ' ' ? "#" : " #");
    if (comment == std::string_view::npos) comment = line.find("\t#");
    const std::size_t brace = line.find('{');
    if (brace >= comment) return trimmed(line.substr(0, comment));
    const std::string_view behind = trimmed(line.substr(line.find_last_of('}') + 1));
    if (!behind.empty() && behind.front() != '#') return trimmed(line);
    line = trimmed(line.substr(0, brace));
    if (line.ends_with(separator_)) line.remove_suffix(1);
    return line;
  }

  [[nodiscard]] Cells cells_of(std::string_view line) const {
    if (separator_ == ' ') {
      Cells words = words_of(line);
      std::transform(words.begin(), words.end(), words.begin(), unquoted);
      return words;
    }
    Cells cells;
    std::size_t begin = 0;
    bool quoted = false;
    for (std::size_t at = 0; at <= line.size(); ++at) {
      if (at < line.size() && line[at] == '"') quoted = !quoted;
      if (at < line.size() && (quoted || line[at] != separator_)) continue;
      cells.push_back(unquoted(trimmed(line.substr(begin, at - begin))));
      begin = at + 1;
    }
    if (quoted) refuse("must end its quotes on the line, got '" + std::string(line) + "'");
    return cells;
  }
  static std::string_view unquoted(std::string_view cell) {
    const bool has_quotes = cell.size() >= 2 && cell.front() == '"' && cell.back() == '"';
    return has_quotes ? cell.substr(1, cell.size() - 2) : cell;
  }

  /// Which columns are meant, by the names that spreadsheets, Gephi, pandas and igraph give them.
  void read_header(const Cells& cells, std::string_view line) {
    const auto find = [&](std::vector<std::string_view> names) {
      std::optional<std::size_t> found;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        std::string name = in_lower_case(cells[i]);
        std::erase_if(name, [](char c) { return c == '_' || c == ' ' || c == '-'; });
        if (std::find(names.begin(), names.end(), name) == names.end()) continue;
        if (found) return std::optional<std::size_t>();
        found = i;
      }
      return found;
    };
    const auto from =
        find({"source", "from", "src", "u", "node1", "id1", "fromnode", "fromnodeid", "sourceid"});
    const auto to = find({"target", "to", "dst", "dest", "destination", "v", "node2", "id2",
                          "tonode", "tonodeid", "targetid"});
    if (!from || !to) {
      refuse("must be two node numbers, or name one column 'source' and one 'target', got '" +
             std::string(trimmed(line)) + "'");
    }
    has_header_ = true;
    from_ = *from;
    to_ = *to;
    type_ = find({"type"});
    columns_ = cells.size();
  }

  void check_weights(const Cells& cells) const {
    if (cells.size() > 4) {
      refuse("must be two node numbers, and at most a weight and a time, got " +
             std::to_string(cells.size()) + " columns without a header");
    }
    for (std::size_t i = 2; i < cells.size(); ++i) {
      if (cells[i].empty() || is_number(cells[i])) continue;
      refuse("a weight or time must be a number, got '" + std::string(cells[i]) + "'");
    }
  }
  [[nodiscard]] std::uint64_t node(std::string_view cell) const {
    const auto number = whole(cell);
    if (!number) refuse("must be two node numbers, got '" + std::string(cell) + "'");
    if ((is_matrix_ || is_konect_) && (*number == 0 || (nodes_ && *number > *nodes_))) {
      refuse("nodes are numbered from 1" +
             (nodes_ ? " to " + std::to_string(*nodes_) : std::string()) + ", got " +
             std::to_string(*number));
    }
    return *number;
  }

  void check_size(std::uint64_t nodes) const {
    if (nodes <= most_nodes_) return;
    throw ConfigError(where_ + ": must have at most " + std::to_string(most_nodes_) +
                      " nodes, has " + std::to_string(nodes));
  }

  EdgeFile result() const {
    std::vector<std::uint64_t> numbers;  // ascending
    if (is_matrix_) {
      for (std::uint64_t row = 1; row <= *nodes_; ++row) numbers.push_back(row);
    } else {
      for (const Row& row : rows_) numbers.insert(numbers.end(), {row.from, row.to});
      std::sort(numbers.begin(), numbers.end());
      numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
      if (nodes_ && *nodes_ != numbers.size()) {
        throw ConfigError(where_ + ": says that it has " + std::to_string(*nodes_) +
                          " nodes, has edges of " + std::to_string(numbers.size()));
      }
      check_size(numbers.size());
    }
    const auto place = [&](std::uint64_t number) {
      return static_cast<PeerId>(std::lower_bound(numbers.begin(), numbers.end(), number) -
                                 numbers.begin());
    };
    EdgeFile file;
    for (const Row& row : rows_) {
      if (row.from != row.to) file.edges.push_back({place(row.from), place(row.to), row.one_way});
    }
    for (const std::uint64_t number : numbers) file.names.push_back(std::to_string(number));
    return file;
  }

  std::string text_;
  const std::string& where_;
  std::size_t most_nodes_;
  std::size_t line_ = 0;
  // What was said before the edges.
  bool is_matrix_ = false;
  bool is_konect_ = false;
  bool counts_edges_ = true;
  std::optional<bool> one_way_;
  std::optional<std::uint64_t> nodes_;
  std::optional<std::uint64_t> edges_;
  // How a line is made.
  char separator_ = ' ';  // blank: any number of blanks and tabs
  bool has_header_ = false;
  std::size_t columns_ = 0;  // 0: not yet known
  std::size_t from_ = 0;
  std::size_t to_ = 1;
  std::optional<std::size_t> type_;

  std::vector<Row> rows_;
};

}  // namespace gossamer::topology::detail
