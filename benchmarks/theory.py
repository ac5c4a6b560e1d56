# SPDX-License-Identifier: MIT
"""The tables of what theory says of rules, beside what is found; the programs print the lines."""

from record_io import table


class Consensus:
    """A line for each rule."""

    def texts(self, runs):
        def error(run, rate):
            theory = run.get("theory", {}).get(rate)
            return f"{run['consensus_error'][rate]:.3g}" + (f" ({theory:.3g})" if theory else "")

        rows = []
        for name, run in sorted(runs.items(), key=lambda one: one[1]["row"]):
            if "1" in run["consensus_error"]:
                cells = [f"{error(run, '1')} in every step", "", ""]
            else:
                cells = [error(run, rate) for rate in ("0.5", "0.1", "0.02")]
            effective = run["effective_nodes"]
            rows.append([name, *cells, f"{effective.get('1', effective.get('0.1')):.2f}"])
        body = table(("rule", "p = 0.5", "p = 0.1", "p = 0.02", "effective nodes"), rows)
        return {"records/consensus.md":
                "Consensus error per coordinate of 8 nodes (not counting a centre) that add N(0, 1) "
                "in each\nstep: mean over time, with an exchange every 1 / p steps; in brackets "
                "theory, where there\nis one, for exchanges that take no time. Effective nodes are "
                f"those at p = 0.1.\n\n{body}"}


class Stability:
    """A line for each step size."""

    def texts(self, runs):
        keys = ("theory", "workers_1", "workers_2_in_turn", "workers_4_in_turn",
                "theory_4_synchronous", "workers_4_synchronous")
        body = table(("eta", "theory", "1 worker", "2 workers in turn", "4 workers in turn",
                      "theory, 4 synchronous", "4 synchronous"),
                     ((f"{run['eta']:g}", *(f"{run[key]:.3f}" for key in keys))
                      for run in sorted(runs.values(), key=lambda run: run["eta"])))
        return {"records/easgd_stability.md":
                "The largest stable alpha of EASGD on f(x) = x^2 / 2, step size eta, an exchange "
                "with every\nstep: found by halving, and in theory (4 - 2 eta) / (4 - eta); "
                f"synchronous with p workers:\n(4 - 2 eta) / (2 + p (2 - eta)).\n\n{body}"}


QUESTIONS = {"consensus": Consensus(), "easgd_stability": Stability()}
