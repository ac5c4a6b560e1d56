# SPDX-License-Identifier: MIT
"""Weight, added up from what nodes have written at their end.

A run begins with weight 1, 1/n with each of n founders; who joins later begins with 0. Each node's
record has its weight and, per peer, its ledger (gossamer/transport/delivery/ledger.hpp), in which every
message that it sent is in one place:

    sent = offered + granted + in_doubt + confirmed + returned + lost_with_peer

What a node is gone with (killed, or left) nobody can ask it for. It is computed from the ledgers of
those who are there at the end, the survivors:

    gone = begin + sum over survivors of (granted + in_doubt + confirmed + lost_with_peer - delivered)

in the row of the survivor's ledger that is about the node. What was granted to it was its own from
that moment on, whether or not it had come to polling or confirming it; what was only offered came
home, and is in `returned`. In the other direction only what it had granted counts (`delivered`):
what a survivor held and was not granted was discarded, and died with the node. What two nodes that
are gone have exchanged moves weight from one to the other, so only the sum over all that are gone
means something. Then

    sum of the survivors' weights  +  sum over the gone  =  1

if, at the end, nothing is under way among the survivors. That is checked as well, pair by pair:

    confirmed here = delivered there      (messages, and weight)
    offered = granted = in_doubt = held = returning = waiting = 0
    weight = begin + sum over peers of (delivered - waiting) - sent + (returned - returning)
"""

import math

TOLERANCE = 1e-9
UNDER_WAY = ("offered", "granted", "in_doubt", "held", "returning", "waiting")


class Books:
    """One node's: its number, what it began with, what it has, and its ledger per peer."""

    def __init__(self, node, begin, weight, peers):
        self.node, self.begin, self.weight = node, begin, weight
        self.ledgers = {peer["peer"]: peer["ledger"] for peer in peers}

    def messages(self, peer, column):
        return self.ledgers[peer][column][0] if peer in self.ledgers else 0

    def moved(self, peer, column):
        return self.ledgers[peer][column][1] if peer in self.ledgers else 0.0

    def surplus(self, peer):
        """By how much the exchange with this node has made the peer's weight larger."""
        given = ("granted", "in_doubt", "confirmed", "lost_with_peer")
        return math.fsum([self.moved(peer, column) for column in given] +
                         [-self.moved(peer, "delivered")])

    def expected(self):
        """What the node must have, by its own ledgers."""
        parts = [self.begin]
        for peer in self.ledgers:
            parts += [self.moved(peer, "delivered"), -self.moved(peer, "waiting"),
                      -self.moved(peer, "sent"), self.moved(peer, "returned"),
                      -self.moved(peer, "returning")]
        return math.fsum(parts)


class Audit:
    """`survivors` are Books; `founders_gone` says what each founder that is gone began with, by its
    number. Whoever else is in a ledger came later, with nothing. `errors` is empty if all weight is
    found."""

    def __init__(self, survivors, founders_gone):
        self.errors = []
        gone = {peer: 0.0 for books in survivors for peer in books.ledgers}
        gone.update(founders_gone)
        for books in survivors:
            gone.pop(books.node, None)
        self.alive = math.fsum(books.weight for books in survivors)
        self.gone = math.fsum(list(gone.values()) +
                              [books.surplus(node) for books in survivors for node in gone])
        self.total = self.alive + self.gone
        self.in_doubt_with_gone = sum(books.messages(node, "in_doubt")
                                      for books in survivors for node in gone)
        self.lost_with_gone = sum(books.messages(node, "lost_with_peer")
                                  for books in survivors for node in gone)
        if not abs(self.total - 1) <= TOLERANCE:
            self.errors.append(f"weights add up to {self.total!r}, not to 1")
        if not self.gone >= -TOLERANCE:
            self.errors.append(f"those that are gone held {self.gone!r}, less than nothing")
        for books in survivors:
            self._own(books)
            for other in survivors:
                if other.node != books.node:
                    self._pair(books, other)

    def _own(self, books):
        expected = books.expected()
        if not abs(books.weight - expected) <= TOLERANCE:
            self.errors.append(f"node {books.node} has weight {books.weight!r}, by its ledgers "
                               f"{expected!r}")

    def _pair(self, a, b):
        for column in UNDER_WAY:
            if a.messages(b.node, column):
                self.errors.append(f"node {a.node}: {a.messages(b.node, column)} messages {column} "
                                   f"with node {b.node} at the end")
        sent, received = a.messages(b.node, "confirmed"), b.messages(a.node, "delivered")
        if sent != received:
            self.errors.append(f"node {a.node} had {sent} messages confirmed by node {b.node}, "
                               f"which was delivered {received}")
        weight = a.moved(b.node, "confirmed") - b.moved(a.node, "delivered")
        if not abs(weight) <= TOLERANCE:
            self.errors.append(f"node {a.node} had {weight!r} more weight confirmed by node "
                               f"{b.node} than that was delivered")

    def result(self):
        return {"weight_of_survivors": self.alive, "weight_of_gone": self.gone,
                "total_less_one": self.total - 1,
                "messages_lost_with_gone": self.lost_with_gone,
                "messages_in_doubt_with_gone": self.in_doubt_with_gone,
                "errors": self.errors}
