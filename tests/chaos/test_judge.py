"""The judge finds what is planted, and nothing where nothing is."""

import dataclasses
import unittest

from judge import Evidence, Fault, Peak, Published, Rules, Send, eid_of, judge, story

RULES = Rules(lanes={"orders": ["mail"], "held": ["held"], "both": ["mail", "hook"], "quiet": ["quiet"],
                     "kept": ["mail"]},
              space={"orders": "orders", "held": "held", "both": "both", "quiet": "quiet", "kept": "kept"},
              streams=frozenset(["kept"]), hold=frozenset(["held"]), unseen=frozenset(["quiet"]), in_flight=2)


class Plant:
    """A run in which all went well, to be spoilt."""

    def __init__(self, **rules):
        self.evidence = Evidence(dataclasses.replace(RULES, **rules), [], [], [], {}, payloads=set(),
                                 statuses=[{"instance": "one", "incarnation": "0123abcd", "received": 3, "accepted": 1, "duplicate": 1, "rejected": 1,
                                            "conflict": 0}])
        self.serial = 0

    def publish(self, order, source="orders", at=100.0, user="user-1", **more):
        self.evidence.published.append(Published(at, source, order, user, **more))
        return self

    def send(self, order, lane="mail", at=100.1, code=250, user="user-1", **more):
        self.serial += 1
        fields = {"key": f"<{order}.{lane}>", "hash": "h", "recipient": "-" if lane == "hook" else f"{user}@example.org",
                  "mark": user if lane == "hook" else f"{user}/{order}", **more}
        self.evidence.sends.append(Send(at, lane, self.serial, order=order, code=code, replied_at=at, **fields))
        return self

    def record(self, order, *states, source="orders", index=True):
        eid = eid_of(source, order)
        lanes = self.evidence.rules.lanes[source]
        record = {"h": "x", "t": "100000", "o": str(sum(state not in "SR" for state in states))}
        for ordinal, state in enumerate(states):
            record[str(ordinal)] = f"{state} 1 1 0 50 0 {lanes[ordinal]} -"
            name = {"L": "lease", "X": "dead", "U": "unknown", "A": f"due:{lanes[ordinal]}", "D": f"again:{lanes[ordinal]}"}
            if state in name and index:
                self.evidence.indexes.setdefault(name[state], {})[f"{eid}:{ordinal}"] = 100050
        if record["o"] != "0":
            self.evidence.payloads.add(eid)
        self.evidence.records[eid] = record
        return self

    def fault(self, kind, start, end=None):
        self.evidence.faults.append(Fault(kind, start, end if end is not None else start, "one"))
        return self

    def well(self, order="o-1"):
        return self.publish(order).send(order).record(order, "S")

    def kinds(self):
        return dict(judge(self.evidence).kinds())


class Judge(unittest.TestCase):
    def find(self, plant, **kinds):
        expected = {kind.replace("mix_up", "mix-up").replace("_", " "): count for kind, count in kinds.items()}
        self.assertEqual(plant.kinds(), expected, [offence.text for offence in judge(plant.evidence).offences])

    def test_the_names_in_redis_are_those_of_the_program(self):
        # The same value is in tests/unit/core/event.c; the space is the source's, there its notification's name.
        self.assertEqual(eid_of("order-confirmed", "o-1001"), "de9daab6dd4d527569dfa253")
        self.assertNotEqual(eid_of("ab", "c"), eid_of("a", "bc"))

    def test_nothing_is_found_where_all_went_well(self):
        plant = Plant().well().publish("o-2", "both").send("o-2").send("o-2", "hook", code=200)
        self.find(plant.record("o-2", "S", "S", source="both").publish("o-3", "quiet").record("o-3", "S", source="quiet"))

    def test_a_promised_event_that_redis_does_not_know_is_lost(self):
        self.find(Plant().publish("o-1"), lost=1)
        self.find(Plant().publish("o-1", heard=0))
        self.find(Plant().publish("o-1", heard=None))
        self.find(Plant(promise="accepted").publish("o-1"))
        plant = Plant(promise="accepted").publish("o-1")
        plant.evidence.accepted.add(("orders", "o-1"))
        self.find(plant, lost=1)

    def test_what_a_stream_took_is_promised_whoever_was_there(self):
        self.find(Plant(promise="accepted").publish("o-1", "kept"), lost=1)
        self.find(Plant(promise="accepted").publish("o-1", "kept", heard=None))
        self.find(Plant(promise="accepted", redis_forgets=True).publish("o-1", "kept"))

    def test_one_of_many_that_was_lost_is_found(self):
        plant = Plant()
        for number in range(100):
            plant.well(f"o-{number}")
        del plant.evidence.records[eid_of("orders", "o-77")]
        self.find(plant, lost=1)

    def test_what_a_redis_without_persistence_forgot_must_have_been_sent(self):
        verdict = judge(Plant(redis_forgets=True).publish("o-1").send("o-1").evidence)
        self.assertEqual((verdict.counts["forgotten by Redis"], verdict.offences), (1, []))
        self.find(Plant(redis_forgets=True).publish("o-1"), lost=1)

    def test_recorded_as_sent_without_a_receivers_yes(self):
        self.find(Plant().publish("o-1").record("o-1", "S"), false_sent=1)
        self.find(Plant().publish("o-1").send("o-1", code=451).record("o-1", "S"), false_sent=1)
        self.find(Plant().publish("o-1").send("o-1", code=0).record("o-1", "S"), false_sent=1)

    def test_a_second_send_without_a_fault_is_a_duplicate(self):
        self.find(Plant().well().send("o-1", at=100.2), duplicate=1)
        self.find(Plant().well().send("o-1", at=100.2).send("o-1", at=100.3), duplicate=2)

    def test_a_kill_excuses_what_was_between_the_yes_and_its_note(self):
        self.find(Plant().well().fault("kill", 100.15).send("o-1", at=103))
        self.find(Plant().well().fault("kill", 99.99).send("o-1", at=103), duplicate=1)   # before the final dot
        self.find(Plant().well().fault("kill", 104).send("o-1", at=103), duplicate=1)      # after the second send
        self.find(Plant().well().fault("kill", 102.5).send("o-1", at=103), duplicate=1)    # noted long before
        self.find(Plant().well().fault("term", 100.15).send("o-1", at=103), duplicate=1)    # no crash at all

    def test_a_kill_excuses_no_more_than_was_under_way(self):
        plant = Plant().fault("kill", 100.15)
        for order in ("o-1", "o-2", "o-3"):
            plant.well(order).send(order, at=103)
        self.find(plant, duplicate=1)

    def test_hold_is_never_sent_twice(self):
        plant = Plant().publish("o-1", "held").send("o-1", "held").record("o-1", "S", source="held").fault("kill", 100.15)
        self.find(plant.send("o-1", "held", at=103), duplicate=1)
        plant = Plant().publish("o-1", "held").send("o-1", "held", code=0).record("o-1", "S", source="held")
        self.find(plant.send("o-1", "held", at=103), duplicate=1)

    def test_each_lost_answer_excuses_one_more_send(self):
        self.find(Plant().publish("o-1").send("o-1", code=0).send("o-1", at=101).record("o-1", "S"))
        self.find(Plant().publish("o-1").send("o-1", code=0).send("o-1", at=101).send("o-1", at=102).record("o-1", "S"),
                  duplicate=1)

    def test_a_stop_excuses_only_past_a_lease(self):
        self.find(Plant().well().fault("stop", 100.05, 104).send("o-1", at=103))
        self.find(Plant().well().fault("stop", 100.05, 100.4).send("o-1", at=103), duplicate=1)

    def test_who_was_stopped_before_the_commit_may_not_send_when_it_wakes(self):
        plant = Plant().fault("stop", 98, 102)
        for order in ("o-1", "o-2"):
            plant.well(order).send(order, at=102.1)
        self.find(plant, duplicate=1)  # once is luck

    def test_redis_excuses_only_where_it_may_forget(self):
        self.find(Plant().well().fault("redis", 101, 102).send("o-1", at=103), duplicate=1)
        self.find(Plant(redis_forgets=True).well().fault("redis", 101, 102).send("o-1", at=103))
        self.find(Plant(redis_forgets=True).well().send("o-1", at=103), duplicate=1)

    def test_a_wrong_recipient_or_body_is_a_mix_up(self):
        self.find(Plant().publish("o-1").send("o-1", recipient="user-2@example.org").record("o-1", "S"), mix_up=1)
        self.find(Plant().publish("o-1").send("o-1", user="user-2").record("o-1", "S"), mix_up=1)
        self.find(Plant().publish("o-1").send("o-1", mark="user-1/o-2").record("o-1", "S"), mix_up=1)
        self.find(Plant().well().send("o-1", "held"), mix_up=1)
        self.find(Plant().publish("o-1", "both").send("o-1").send("o-1", "hook", mark="user-9", code=200)
                  .record("o-1", "S", "S", source="both"), mix_up=1)

    def test_another_identity_on_the_second_attempt(self):
        again = Plant().publish("o-1").send("o-1", code=451).record("o-1", "S")
        self.find(again.send("o-1", at=103, key="<other>"), identity=1)
        again = Plant().publish("o-1").send("o-1", code=451).record("o-1", "S")
        self.find(again.send("o-1", at=103, hash="other"), identity=1)
        again = Plant(redis_forgets=True).well().fault("redis", 101)
        self.find(again.send("o-1", at=103, hash="other"))  # it was accepted anew
        self.find(again.send("o-1", at=104, hash="other", key="<other>"), duplicate=1, identity=1)

    def test_two_deliveries_with_one_identity(self):
        self.find(Plant().well("o-1").publish("o-2").send("o-2", key="<o-1.mail>").record("o-2", "S"), identity=1)

    def test_a_retry_that_did_not_wait(self):
        self.find(Plant().publish("o-1").send("o-1", code=451).send("o-1", at=100.15).record("o-1", "S"), early_retry=1)
        self.find(Plant().publish("o-1").send("o-1", code=451).send("o-1", at=100.4).record("o-1", "S"))

    def test_a_second_send_within_one_attempt(self):
        self.find(Plant().publish("o-1").send("o-1", code=0).send("o-1", at=100.11).record("o-1", "S"), early_retry=1)

    def test_refused_for_good_and_sent_again(self):
        self.find(Plant().publish("o-1").send("o-1", code=550).send("o-1", at=105).record("o-1", "S"), retried=1)
        self.find(Plant().publish("o-1").send("o-1", code=550).record("o-1", "X"))
        for code, found in ((422, {"retried": 1}), (500, {}), (503, {}), (429, {})):
            plant = Plant().publish("o-1", "both").send("o-1").send("o-1", "hook", code=code)
            self.find(plant.send("o-1", "hook", at=105, code=200).record("o-1", "S", "S", source="both"), **found)

    def test_dead_needs_a_refusal(self):
        self.find(Plant().publish("o-1").record("o-1", "X"), dead=1)
        self.find(Plant(may_die=frozenset(["mail"])).publish("o-1").record("o-1", "X"))
        self.find(Plant().well("o-2").publish("o-1").send("o-1", code=550).send("o-1", code=250, at=105)
                  .record("o-1", "X").fault("cut", 104), dead=1)

    def test_poison_needs_three_crashes(self):
        def dead(crashes, *kills):
            plant = Plant().publish("o-1").send("o-1", code=0).record("o-1", "X")
            record = plant.evidence.records[eid_of("orders", "o-1")]
            record["0"] = record["0"].replace("X 1 1 0", f"X 5 0 {crashes}")
            for at in kills:
                plant.fault("kill", at)
            return plant
        self.find(dead(3, 100.1, 101, 102))
        self.find(dead(3, 100.1, 101), dead=1)
        self.find(dead(2, 100.1, 101, 102), dead=1)
        self.find(dead(3, 101, 102, 103).send("o-1", at=105), dead=1)  # taken, and no crash since

    def test_unknown_needs_a_reason_and_the_policy(self):
        self.find(Plant().publish("o-1").send("o-1").record("o-1", "U"), unknown=1)
        self.find(Plant().publish("o-1", "held").send("o-1", "held").record("o-1", "U", source="held"), unknown=1)
        self.find(Plant().publish("o-1", "held").send("o-1", "held", code=0).record("o-1", "U", source="held"))
        self.find(Plant().publish("o-1", "held").record("o-1", "U", source="held").fault("kill", 101))

    def test_what_is_not_settled_at_the_end(self):
        for state in "ADL":
            self.find(Plant().publish("o-1").record("o-1", state), not_settled=1)

    def test_more_than_the_limit_allows(self):
        def paced(step_s):
            plant = Plant(rates={"mail": (10, 5)})
            for number in range(30):
                plant.publish(f"o-{number}").send(f"o-{number}", at=100.1 + step_s * number).record(f"o-{number}", "S")
            return plant
        self.find(paced(0.1))
        self.find(paced(0.05), rate=1)

    def test_what_nobody_published(self):
        self.find(Plant().send("o-9"), invented=1)
        self.find(Plant().record("o-9", "S"), invented=1)

    def test_records_and_indexes_that_disagree(self):
        self.find(Plant().publish("o-1").send("o-1", code=550).record("o-1", "X", index=False), ledger=1)
        plant = Plant().well()
        plant.evidence.indexes["lease"] = {eid_of("orders", "o-1") + ":0": 1}
        self.find(plant, ledger=1)
        plant = Plant().well()
        plant.evidence.payloads.add(eid_of("orders", "o-1"))
        self.find(plant, ledger=1)
        plant = Plant().well()
        plant.evidence.records[eid_of("orders", "o-1")]["o"] = "1"
        self.find(plant, ledger=1)

    def test_a_false_conflict(self):
        plant = Plant().well()
        plant.evidence.conflicts.add(("orders", "o-1"))
        self.find(plant, false_conflict=1)
        self.find(plant.publish("o-1", variant=1))

    def test_sums_that_do_not_add_up(self):
        plant = Plant().well()
        plant.evidence.statuses[0]["received"] = 4
        self.find(plant, sums=1)

    def test_the_sums_of_an_incarnation_that_was_killed_count_too(self):
        plant = Plant().well()
        plant.evidence.statuses.insert(0, {**plant.evidence.statuses[0], "incarnation": "4567ef01", "duplicate": 0})
        self.find(plant, sums=1)

    def test_a_daemon_that_grew_and_keys_that_are_left_over(self):
        plant = Plant().well()
        plant.evidence.peaks, plant.evidence.keys = [Peak("one", 20 << 20, 40, 20), Peak("two", 64 << 20, 128, 40)], 300
        self.find(plant)
        for peak in (Peak("one", (64 << 20) + 1, 40, 20), Peak("one", 20 << 20, 129, 20), Peak("one", 20 << 20, 40, 41)):
            plant.evidence.peaks[0] = peak
            self.find(plant, bounds=1)
        plant.evidence.peaks.clear()
        plant.evidence.keys = 1000
        self.find(plant, bounds=1)

    def test_what_fsck_finds(self):
        plant = Plant().well()
        plant.evidence.fsck = "exit status 1: e:0123: no payload"
        self.find(plant, fsck=1)

    def test_a_whole_address_in_a_log(self):
        plant = Plant().well()
        plant.evidence.log_lines = ['{"to":"u***@example.org"}', '{"to":"user-1@example.org"}']
        self.find(plant, log=1)

    def test_a_story_tells_all_that_is_known(self):
        plant = Plant().well().fault("kill", 103.3).send("o-1", at=103)
        text = story(plant.evidence, judge(plant.evidence).offences[0])
        for part in ("published to orders", "final dot", "is told 250", "FAULT kill", "Redis:"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
