# SPDX-License-Identifier: MIT
"""Writes copies of session.hpp, its parts and the simulator's driver in which each decision of the
protocol can be turned around.

mutate.py INCLUDE TARGET     the files below (FILES) of INCLUDE, to the same places in TARGET

The promise of delivery rests on these decisions. In the copy each has a switch, which is on:
`gossamer::transport::mutation::waits_for_grant`, ... The mutation tests turn one off and look for
the message that is then lost or counted twice; each decision is made because there is one.
"""
import pathlib
import sys

# Name, what the decision is for, and what becomes of the source: each text must be there once.
MUTATIONS = [
    ("waits_for_grant",
     "A message is the receiver's when its sender has granted it, not when it has arrived. Else a\n"
     "sender that takes it back meanwhile has it, too.",
     [("in_.push(queue, std::move(*frame.offer));",
       "in_.push(queue, std::move(*frame.offer));\n"
       "    if (!mutation::waits_for_grant) deliver(queue, in_.accepted);")]),
    ("drops_repetitions",
     "An offer that was accepted before is not accepted again.",
     [("in_.accepted = frame.sequence;",
       "in_.accepted = mutation::drops_repetitions ? frame.sequence : in_.accepted + 1;"),
      ("    if (in_.asked == 0) return false;",
       "    if (frame.sequence <= in_.accepted) return !mutation::drops_repetitions;\n"
       "    if (in_.asked == 0) return false;")]),
    ("accepts_in_order",
     "An offer is accepted in its turn only, for one counter can say no more.",
     [("if (frame.sequence == in_.seen() + 1) {",
       "if (frame.sequence == in_.seen() + 1 ||\n"
       "        (!mutation::accepts_in_order && frame.sequence > in_.seen())) {"),
      ("return frame.sequence == in_.accepted + 1;",
       "return frame.sequence == in_.accepted + 1 || !mutation::accepts_in_order;")]),
    ("counters_only_grow",
     "Counters say what was reached, never less than before: an old frame takes nothing back.",
     [("if (frame.accepted > out_.granted) {",
       "if (frame.accepted > out_.granted || !mutation::counters_only_grow) {"),
      ("out_.grant(frame.accepted);",
       "out_.grant(std::max(frame.accepted, out_.confirmed));")]),
    ("confirms_delivered_only",
     "A receiver confirms what has reached its rule, not what it holds and may yet give up.",
     [("frame.delivered = in_.polled;",
       "frame.delivered = mutation::confirms_delivered_only ? in_.polled : in_.accepted;")]),
    ("tells_sessions_apart",
     "A frame is used in the session that it names, and in no other.",
     [("    if (frame.from < theirs_) return Meaning::old;",
       "    if (!mutation::tells_sessions_apart && open_ && frame.open) return Meaning::present;\n"
       "    if (frame.from < theirs_) return Meaning::old;")]),
    ("renames_sessions",
     "The end of a session ends its number: the next one has another.",
     [("++mine_.epoch;", "if (mutation::renames_sessions) ++mine_.epoch;")]),
    ("follows_new_session",
     "A peer that begins a new session has ended the old one, so this side ends it, too.",
     [("if (open_) end_session(queue);",
       "if (open_ && mutation::follows_new_session) end_session(queue);")]),
    ("checks_confirms",
     "A peer cannot confirm what it was not granted.",
     [("if (frame.delivered > out.granted) {",
       "if (frame.delivered > out.granted && mutation::checks_confirms) {")]),
    ("returns_offers",
     "When a session ends, what was not granted is returned.",
     [("[&](Message message) { give_back(queue, std::move(message), reason); }",
       "[&](Message message) {\n"
       "      if (mutation::returns_offers) give_back(queue, std::move(message), reason);\n"
       "    }")]),
    ("keeps_granted",
     "When a session ends, what was granted stays where it is until the peer says what it did.",
     [("    depart(queue, Reason::lost, out_.in_their_hands());",
       "    if (!mutation::keeps_granted) out_.granted = out_.confirmed;\n"
       "    depart(queue, Reason::lost, out_.in_their_hands());")]),
    ("discards_held",
     "When a session ends, what is held and not granted is never delivered.",
     [("    for (std::size_t i = 0; i < out_.queue.size(); ++i) out_.queue[i].set_aside();\n",
       "    for (std::size_t i = 0; i < out_.queue.size(); ++i) out_.queue[i].set_aside();\n"
       "    if (!mutation::discards_held) deliver(queue, in_.accepted);\n")]),
    ("asks_for_report",
     "A session opens when the peer has said how many messages of the last one it delivered,",
     [("confirm(frame.reported_delivered);",
       "confirm(mutation::asks_for_report ? frame.reported_delivered : out_.granted);")]),
    ("returns_undelivered",
     "and those that it did not deliver are returned.",
     [("while (out_.in_their_hands() > 0) give_back(queue, out_.pop(), Reason::lost);",
       "while (out_.in_their_hands() > 0) {\n"
       "      Message message = out_.pop();\n"
       "      if (mutation::returns_undelivered) "
       "give_back(queue, std::move(message), Reason::lost);\n"
       "    }")]),
    ("keeps_report",
     "That report is kept until the peer has been heard in the next session: it may need it still.",
     [("if (heard_) {", "if (heard_ || !mutation::keeps_report) {")]),
    ("tells_incarnations_apart",
     "A new incarnation of a peer remembers nothing of the one before: it cannot say what that\n"
     "delivered.",
     [("return last_theirs_.incarnation == frame.from.incarnation;",
       "return last_theirs_.incarnation == frame.from.incarnation ||\n"
       "           !mutation::tells_incarnations_apart;")]),
    ("leaver_gives_back",
     "A leaver gives back what it has not handed to its rule,",
     [("in_.granted = in_.polled;", "if (mutation::leaver_gives_back) in_.granted = in_.polled;"),
      ("if (delivered == nullptr || !of_session(queued)) return false;",
       "if (delivered == nullptr || !of_session(queued)) return false;\n"
       "    if (!mutation::leaver_gives_back) return false;")]),
    ("carries_once",
     "Over a connection that holds content is sent once, however long its acceptance takes.",
     [("    if (reminds) out_.rewind_unseen();",
       "    if (!mutation::carries_once) out_.rewind();\n"
       "    if (reminds) out_.rewind_unseen();")]),
    ("bytes_are_life",
     "Any byte that comes is a sign of life, not the last one of a model only.",
     [("if (carrier_.is_arriving(at)) side",
       "if (mutation::bytes_are_life && carrier_.is_arriving(at)) side")]),
    ("leaver_waits",
     "and stays until that is known.",
     [("return out_.queue.empty() && leaving_seen_;",
       "return out_.queue.empty() && (leaving_seen_ || !mutation::leaver_waits);")]),
]


FILES = ("transport/delivery/session.hpp", "transport/delivery/frame_check.hpp",
         "transport/delivery/queues.hpp", "simulation/detail/driver.hpp")


def mutated(sources):
    """The files of `sources`, text by name, with the switches in them."""
    for name, _, texts in MUTATIONS:
        for before, after in texts:
            homes = [one for one in FILES if before in sources[one]]
            if len(homes) != 1 or sources[homes[0]].count(before) != 1:
                sys.exit(f"mutate.py: {name}: {', '.join(FILES)} must have this once, have it in "
                         f"{homes}:\n{before}\nHas the decision moved? Then change mutate.py.")
            sources[homes[0]] = sources[homes[0]].replace(before, after)
    return {name: text.replace("#pragma once\n", "#pragma once\n\n#include "
                               "<gossamer/transport/delivery/mutation.hpp>\n", 1)
            for name, text in sources.items()}


def switches():
    text = "#pragma once\n\nnamespace gossamer::transport::mutation {\n"
    for name, purpose, _ in MUTATIONS:
        for line in purpose.splitlines():
            text += f"/// {line}\n"
        text += f"inline bool {name} = true;\n"
    text += f"inline constexpr int count = {len(MUTATIONS)};\n"
    return text + "}  // namespace gossamer::transport::mutation\n"


def main(include, target):
    sources = {name: (include / "gossamer" / name).read_text() for name in FILES}
    texts = {**mutated(sources), "transport/delivery/mutation.hpp": switches()}
    for name, text in texts.items():
        copy = target / "gossamer" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
