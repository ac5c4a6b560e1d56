# SPDX-License-Identifier: MIT
"""That the audit of weights finds what is wrong: python3 tests/network/books_test.py"""

import copy
import unittest

from books import Audit, Books

COLUMNS = ("sent", "offered", "granted", "in_doubt", "confirmed", "returned", "returning",
           "lost_with_peer", "held", "delivered", "waiting", "discarded")


def ledger(peer, **columns):
    return {"peer": peer, "ledger": {name: list(columns.get(name, (0, 0.0))) for name in COLUMNS}}


def good():
    """Nodes 0, 1 and 2 began with 1/4 each; 3 was killed. 0 sent 1/8 to 1, and 1/16 to 3, which
    had it granted when it died; 3 had given 1/8 to 2, and 1/8 more that 2 held and discarded."""
    return [
        Books(0, 0.25, 0.0625, [ledger(1, sent=(1, 0.125), confirmed=(1, 0.125)),
                                ledger(2), ledger(3, sent=(1, 0.0625),
                                                  lost_with_peer=(1, 0.0625))]),
        Books(1, 0.25, 0.375, [ledger(0, delivered=(1, 0.125)), ledger(2), ledger(3)]),
        Books(2, 0.25, 0.375, [ledger(0), ledger(1),
                               ledger(3, delivered=(1, 0.125), discarded=(1, 0.125))]),
    ]


class AuditTest(unittest.TestCase):
    def test_what_the_gone_held_follows_from_the_survivors_ledgers(self):
        audit = Audit(good(), {3: 0.25})
        self.assertEqual(audit.errors, [])
        self.assertEqual(audit.gone, 0.25 + 0.0625 - 0.125)
        self.assertEqual(audit.total, 1)

    def test_granted_and_in_doubt_are_the_gone_ones_too(self):
        for column in ("granted", "in_doubt", "confirmed"):
            nodes = good()
            nodes[0].ledgers[3][column] = nodes[0].ledgers[3]["lost_with_peer"]
            nodes[0].ledgers[3]["lost_with_peer"] = [0, 0.0]
            self.assertEqual(Audit(nodes, {3: 0.25}).errors, [], column)

    def test_weight_that_is_missing_is_found(self):
        nodes = good()
        nodes[1].weight -= 1e-8
        self.assertEqual(len(Audit(nodes, {3: 0.25}).errors), 2)

    def test_a_message_merged_twice_is_found(self):
        nodes = good()
        nodes[1].weight += 0.125
        nodes[1].ledgers[0]["delivered"] = [2, 0.25]
        errors = Audit(nodes, {3: 0.25}).errors
        self.assertTrue(any("confirmed by node 1, which was delivered 2" in e for e in errors))
        self.assertTrue(any("add up to" in e for e in errors))

    def test_what_is_under_way_at_the_end_is_named(self):
        for column in ("offered", "granted", "in_doubt", "held", "returning", "waiting"):
            nodes = copy.deepcopy(good())
            nodes[1].ledgers[2][column] = [1, 0.0]
            errors = Audit(nodes, {3: 0.25}).errors
            self.assertTrue(any(f"1 messages {column} with node 2" in e for e in errors), column)

    def test_more_than_a_gone_one_had_is_found(self):
        nodes = good()
        nodes[2].ledgers[3]["delivered"] = [2, 0.4]
        nodes[2].weight += 0.275
        self.assertTrue(any("less than nothing" in e for e in Audit(nodes, {3: 0.25}).errors))


if __name__ == "__main__":
    unittest.main()
