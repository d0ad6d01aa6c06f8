"""Runs the fault suite; see families.py for what it does and judge.py for what it decides.

usage: chaos.py [--quick | --full | --short] [--part K/N] [--seed S] [--only NAME,NAME]"""

import argparse
import os
import sys
import time
import traceback

import families
import judge
import rig

STORIES = 12  # of one family; the rest is in the kept directory


class Run:
    """One family's run: its numbers and its verdict."""

    def __init__(self, name, count, seed):
        self.name, self.count, self.seed = name, count, seed
        self.numbers, self.failures, self.remarks, self.tables = {}, [], [], []
        self.made = self.verdict = None

    def rig(self, **options):
        self.made = rig.Rig(f"{self.seed}:{self.name}", **options)
        return self.made

    def fail(self, text):
        self.failures.append(text)

    def table(self, title, counts):
        self.tables.append((title, counts))

    def judge(self, made, **rules):
        """Heals, waits, and decides. A daemon that can't recover is a failure with a story of its own."""
        healed_s = made.heal(rig.FORGOTTEN_S if rules.get("redis_forgets") else rig.QUIET_S)
        self.numbers["healed"] = f"{healed_s:.1f} s"
        evidence = made.evidence(**rules)
        self.verdict = judge.judge(evidence)
        for daemon in made.daemons:
            if (status := daemon.stop()) != 0:
                self.fail(f"{daemon.name}: exit status {status}")
            daemon.check_clean()
        self.remarks = [judge.story(evidence, remark) for remark in self.verdict.remarks[:STORIES]]
        for offence in self.verdict.offences[:STORIES]:
            self.fail(judge.story(evidence, offence))
        if len(self.verdict.offences) > STORIES:
            self.fail(f"and {len(self.verdict.offences) - STORIES} more: {dict(self.verdict.kinds())}")

    def line(self, seconds):
        counts = self.verdict.counts if self.verdict else {}
        parts = [f"{name} {counts[name]}" for name in ("published", "accepted", "sent", "not promised", "dead", "poison", "unknown",
                                                       "forgotten by Redis", "mail most at once", "incarnations", "MiB", "keys") if counts.get(name)]
        kinds = self.verdict.kinds() if self.verdict else {}
        parts.append(f"lost {kinds.get('lost', 0)}, duplicates {kinds.get('duplicate', 0)}")
        excused = self.verdict.excused if self.verdict else {}
        parts.append("excused " + (" ".join(f"{row} {count}" for row, count in sorted(excused.items())) or "0"))
        parts += [f"{name} {value if not isinstance(value, list) else ' '.join(map(str, value))}"
                  for name, value in self.numbers.items()]
        return f"{self.name:<21} {'FAILED' if self.failures else 'ok':<6} {seconds:5.0f} s  " + "; ".join(parts)

    def run(self, family):
        began = time.monotonic()
        try:
            family(self)
        except Exception:  # whatever goes wrong is told with all the others
            self.fail(traceback.format_exc())
        finally:
            if self.made:
                if self.failures:
                    os.environ["HERALD_KEEP"] = "1"  # the world says where
                self.made.close()
                os.environ.pop("HERALD_KEEP", None)
        print(self.line(time.monotonic() - began), flush=True)
        for title, counts in self.tables:
            print("\n".join(f"    {title} {count:4} × {name}" for name, count in counts.items()))
        for failure in self.remarks + self.failures:
            print("    " + failure.replace("\n", "\n    "))
        sys.stdout.flush()
        return not self.failures


def choose(options):
    if options.short:
        chosen = list(families.SHORT)
    else:
        chosen = [(name, family, full if options.full else quick) for name, family, quick, full in families.FAMILIES]
    if options.only:
        wanted = options.only.split(",")
        unknown = set(wanted) - {name for name, _, _ in chosen}
        if unknown:
            sys.exit(f"chaos: there is no family {', '.join(sorted(unknown))}; there are "
                     + ", ".join(name for name, _, _ in chosen))
        chosen = [one for one in chosen if one[0] in wanted]
    part, parts = (int(number) for number in options.part.split("/"))
    # Each part has a share of every family's faults, so that all parts take about as long.
    return [(name, family, count // parts + (part <= count % parts)) for name, family, count in chosen
            if count // parts + (part <= count % parts) > 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    for name in ("--quick", "--full", "--short"):
        size.add_argument(name, action="store_true")
    parser.add_argument("--part", default="1/1", help="K/N: the K-th of N shares of the work")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", help="families, with commas between")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    results = [Run(name, count, options.seed).run(family) for name, family, count in choose(options)]
    failed = results.count(False)
    print(f"{len(results)} families in {time.monotonic() - began:.0f} s, seed {options.seed}: "
          + (f"{failed} FAILED" if failed else "nothing lost, and nothing sent twice without an excuse"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
