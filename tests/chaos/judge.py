"""Decides what a run's evidence proves. It reads what others wrote down: what was published, what the receivers took and
answered, which faults there were and when, and what Redis holds. It starts nothing and waits for nothing, so it can be
tested with planted losses, duplicates and mix-ups (test_judge.py).

A second send is excused by one of these rows and by nothing else; each is counted:

    killed     resend: the daemon was killed between the provider's yes and its note of it. A kill excuses at most as
               many as were under way
    stopped    resend: it stood still past its lease after it had committed; "late" where that was so close that another
               sent it first, which is luck: at most one in fifty stops
    unanswered resend: the provider took it and closed without a word; each such answer excuses one more
    forgotten  Redis came back without what it had confirmed (only in a family whose Redis may forget)
"""

import collections
import dataclasses
import hashlib
import re

NOTE_S = 0.2       # from the provider's answer to our note of it, on a machine that does a lot besides
SEEN_S = 0.1       # from what we sent to the receiver's note of it, likewise

POISON = 3         # crashes after which a delivery is suspected of causing them, and is dead
HTTP_FOR_GOOD = (400, 403, 404, 410, 413, 422)

MOST_RSS = 64 << 20
MOST_DESCRIPTORS = 128
MOST_THREADS = 40
KEYS_OF_AN_EVENT = 3  # its record and its payload, or what is kept of it behind its end
KEYS_BESIDES = 300    # the users, a limit's bucket for each, and the indexes

TAKEN = "taken"
REFUSED_NOW = "refused for now"
REFUSED = "refused for good"


@dataclasses.dataclass
class Published:
    at: float
    source: str
    order: str
    user: str
    heard: object = 1      # how many subscribers Redis gave it to; None: no reply
    variant: int = 0       # another number, other content
    serial: int = 0


@dataclasses.dataclass
class Send:
    at: float              # of the final dot, or a request's last byte
    lane: str
    serial: int
    key: str               # Message-ID or Idempotency-Key
    recipient: str         # "-": a request, which has none
    hash: str
    order: str
    mark: str
    replied_at: object = None
    code: object = None    # None: nothing yet, 0: closed without a word

    def verdict(self):
        if self.code is None or self.code == 0 or 200 <= self.code < 300:
            return TAKEN
        for_good = self.code in HTTP_FOR_GOOD if self.recipient == "-" else self.code >= 500
        return REFUSED if for_good else REFUSED_NOW


@dataclasses.dataclass
class Fault:
    kind: str              # "kill", "stop", "term", "redis", "cut", "sink"
    start: float
    end: float
    who: str = ""
    what: str = ""


@dataclasses.dataclass
class Rules:
    """What a family's faults may do."""
    lanes: dict                      # source -> its lanes, in the order of their ordinals
    space: dict                      # source -> space
    hold: frozenset = frozenset()    # lanes whose policy is hold
    unseen: frozenset = frozenset()  # lanes whose provider keeps no log: Redis's word is taken
    streams: frozenset = frozenset() # sources that Redis keeps until they are accepted: all it took is promised
    promise: str = "heard"           # "heard": what a subscriber got; "accepted": what was seen in the ledger
    redis_forgets: bool = False      # no persistence: records may be missing and sends repeated; but each was sent once
    may_die: frozenset = frozenset() # lanes in which deliveries may be dead without a refusal for good
    rates: dict = dataclasses.field(default_factory=dict)  # lane -> (messages a second, burst)
    in_flight: int = 16              # transfers of one instance
    lease_s: float = 2.0
    backoff_s: float = 0.3


@dataclasses.dataclass
class Evidence:
    rules: Rules
    published: list
    sends: list
    faults: list
    records: dict                    # eid -> {field: text}
    accepted: set = dataclasses.field(default_factory=set)   # (source, order) that a log called accepted
    conflicts: set = dataclasses.field(default_factory=set)
    indexes: dict = dataclasses.field(default_factory=dict)  # name -> {member: score}
    payloads: object = None          # eids that have one
    statuses: list = dataclasses.field(default_factory=list)
    log_lines: list = dataclasses.field(default_factory=list)
    peaks: list = dataclasses.field(default_factory=list)    # of the daemons, at any time
    keys: int = 0                    # the most that Redis held
    fsck: str = ""                   # what heraldctl fsck finds; "" if nothing


@dataclasses.dataclass
class Peak:
    """The most that a daemon had at any time; bytes, and numbers."""
    name: str
    rss: int = 0
    descriptors: int = 0
    threads: int = 0


@dataclasses.dataclass
class Offence:
    kind: str
    text: str
    source: str = ""
    order: str = ""


class Verdict:
    def __init__(self):
        self.offences = []
        self.remarks = []  # excused, and rare enough to be told
        self.excused = collections.Counter()
        self.counts = collections.Counter()

    def offend(self, kind, text, source="", order=""):
        self.offences.append(Offence(kind, text, source, order))

    def kinds(self):
        return collections.Counter(offence.kind for offence in self.offences)


def eid_of(space, order):
    """The name of an event in Redis, computed here a second time so that the ledger can be judged from outside."""
    digest = hashlib.sha256()
    for part in (space.encode(), order.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:24]


class Delivery:
    """A delivery's record: STATE fence attempts crashes at flags lane owner."""

    def __init__(self, text):
        self.text = text
        fields = text.split(" ")
        self.is_readable = len(fields) == 8 and fields[0] in tuple("ADLUXSR")
        if self.is_readable:
            self.state, self.lane = fields[0], fields[6]
            self.fence, self.attempts, self.crashes, self.at, self.flags = (int(field) for field in fields[1:6])


def judge(evidence):
    verdict = Verdict()
    judge_events(evidence, verdict)
    judge_strangers(evidence, verdict)
    judge_rates(evidence, verdict)
    judge_ledger(evidence, verdict)
    judge_statuses(evidence, verdict)
    judge_bounds(evidence, verdict)
    judge_fsck(evidence, verdict)
    judge_logs(evidence, verdict)
    return verdict


# ---- every event ------------------------------------------------------------------------------------------------

def judge_events(evidence, verdict):
    rules = evidence.rules
    sends = collections.defaultdict(list)
    for send in sorted(evidence.sends, key=lambda one: one.at):
        sends[send.order, send.lane].append(send)
    events = collections.defaultdict(list)
    for one in evidence.published:
        events[one.source, one.order].append(one)
    blame = Blame(evidence)
    keys = {}
    for (source, order), copies in events.items():
        record = evidence.records.get(eid_of(rules.space[source], order))
        heard = any(copy.heard for copy in copies)
        was_accepted = record is not None or (source, order) in evidence.accepted
        verdict.counts["published"] += 1
        verdict.counts["accepted"] += was_accepted
        if record is None:
            judge_missing(rules, verdict, source, order, heard, was_accepted,
                          any(sends.get((order, lane)) for lane in rules.lanes[source]))
        for ordinal, lane in enumerate(rules.lanes[source]):
            mine = sends.get((order, lane), [])
            verdict.counts["sent"] += bool(mine)
            if record is not None:
                judge_end(evidence, verdict, blame, source, order, lane, record.get(str(ordinal)), mine, copies)
            judge_sends(evidence, verdict, blame, source, order, lane, mine)
            judge_identity(verdict, blame, keys, source, order, lane, mine, copies)
        if len({copy.variant for copy in copies}) == 1 and (source, order) in evidence.conflicts:
            verdict.offend("false conflict", "called a conflict, and was only repeated", source, order)


def judge_missing(rules, verdict, source, order, heard, was_accepted, was_sent):
    is_kept = source in rules.streams and not rules.redis_forgets
    promised = heard if is_kept or rules.promise == "heard" else was_accepted
    if not promised:
        verdict.counts["not promised"] += 1
    elif rules.redis_forgets:
        verdict.counts["forgotten by Redis"] += 1
        if not was_sent:
            verdict.offend("lost", "promised, and lost with Redis, though it was in a lane or a ring", source, order)
    else:
        verdict.offend("lost", "promised, and Redis knows nothing of it" if not was_sent else
                       "sent, and Redis knows nothing of it", source, order)


def judge_end(evidence, verdict, blame, source, order, lane, text, sends, copies):
    """What the ledger says became of a delivery, against what the receiver knows."""
    rules = evidence.rules
    delivery = Delivery(text) if text is not None else None
    if delivery is None or not delivery.is_readable:
        verdict.offend("ledger", f"{lane}: its record is {text!r}", source, order)
        return
    taken = [send for send in sends if send.verdict() == TAKEN]
    state = delivery.state
    if delivery.lane not in (lane, "-"):
        verdict.offend("mix-up", f"its record stands in lane {delivery.lane}, not {lane}", source, order)
    if state == "S":
        if lane not in rules.unseen and not [send for send in taken if send.code != 0]:
            verdict.offend("false sent", f"{lane}: recorded as sent, and no receiver said yes", source, order)
    elif state == "U":
        verdict.counts["unknown"] += 1
        if lane not in rules.hold:
            verdict.offend("unknown", f"{lane}: parked, and its policy is resend", source, order)
        elif not any(send.code == 0 for send in taken) and not blame.anything_since(copies[0].at):
            verdict.offend("unknown", f"{lane}: parked, and nothing happened that would explain it", source, order)
    elif state == "X" and delivery.crashes >= POISON and blame.crashes_since(copies[0].at) >= POISON:
        verdict.counts["poison"] += 1
        if any(send.code != 0 and not blame.is_at_a_crash(send) for send in taken):
            verdict.offend("dead", f"{lane}: dead, and it was taken", source, order)
    elif state == "X":
        verdict.counts["dead"] += 1
        if not any(send.verdict() == REFUSED for send in sends) and lane not in rules.may_die:
            verdict.offend("dead", f"{lane}: dead, and nobody refused it for good", source, order)
        if [send for send in taken if send.code != 0]:
            verdict.offend("dead", f"{lane}: dead, and it was taken", source, order)
    else:
        verdict.offend("not settled", f"{lane}: at the end it is still {text!r}", source, order)
        if not taken:
            verdict.counts["unsent"] += 1


def judge_sends(evidence, verdict, blame, source, order, lane, sends):
    """Each send after the first that was taken needs an excuse; and each after a refusal has to wait, or not to be."""
    rules = evidence.rules
    for before, send in zip(sends, sends[1:]):
        if before.verdict() == TAKEN:
            row = blame.excuse(lane, before, send)
            if row:
                verdict.excused[row] += 1
                if row == "stopped late":
                    verdict.remarks.append(Offence("remark", f"{lane}: sent again {send.at - before.at:.3f} s later: {row}", source,
                                                   order))
                if row == "unanswered" and send.at - before.replied_at < rules.backoff_s / 2 - 0.01:
                    verdict.offend("early retry", f"{lane}: {send.at - before.replied_at:.3f} s after no answer, so within "
                                   "one attempt", source, order)
            else:
                verdict.offend("duplicate", f"{lane}: sent again {send.at - before.at:.3f} s later, and no row of the "
                               "crash points excuses it", source, order)
        elif blame.anything_between(before.at, send.at):
            continue  # its refusal may never have been told
        elif before.verdict() == REFUSED:
            verdict.offend("retried", f"{lane}: refused for good with {before.code}, and sent again", source, order)
        elif before.code not in (421, 429) and send.at - before.replied_at < rules.backoff_s / 2 - 0.01:
            verdict.offend("early retry", f"{lane}: {send.at - before.replied_at:.3f} s after a {before.code}", source, order)


def judge_identity(verdict, blame, keys, source, order, lane, sends, copies):
    users = {copy.user for copy in copies}
    for send in sends:
        user = send.mark.split("/")[0]
        if user not in users or (send.recipient != "-" and send.recipient != f"{user}@example.org"):
            verdict.offend("mix-up", f"{lane}: to {send.recipient}, for {send.mark}, published for {sorted(users)}", source, order)
        elif "/" in send.mark and send.mark.split("/")[1] != order:
            verdict.offend("mix-up", f"{lane}: the body is about {send.mark}", source, order)
        other = keys.setdefault(send.key, (order, lane))
        if other != (order, lane):
            verdict.offend("identity", f"{lane}: {send.key} is also that of {other[0]} in {other[1]}", source, order)
    if len({send.key for send in sends}) > 1:
        verdict.offend("identity", f"{lane}: {len(sends)} sends with different keys", source, order)
    # Accepted anew, after Redis forgot it, it has a new date.
    if len({send.hash for send in sends}) > 1 and not blame.is_forgotten_between(sends[0].at, sends[-1].at):
        verdict.offend("identity", f"{lane}: {len(sends)} sends with different bodies", source, order)


class Blame:
    """The faults, as excuses. A kill is used up by what it has excused."""

    def __init__(self, evidence):
        self.rules = evidence.rules
        self.faults = sorted(evidence.faults, key=lambda fault: fault.start)
        self.used = collections.Counter()
        self.late = 0
        self.stops = sum(fault.kind == "stop" for fault in self.faults)

    def excuse(self, lane, before, send):
        if self.is_forgotten_between(before.at, send.at):
            return "forgotten"
        if lane in self.rules.hold:
            return None
        if before.code == 0:
            return "unanswered"
        answered = before.replied_at if before.replied_at is not None else before.at
        is_late = False
        for index, fault in enumerate(self.faults):
            if fault.start > send.at:
                break
            if before.at - SEEN_S > fault.end or fault.start > answered + NOTE_S:
                continue
            if fault.kind == "stop" and fault.end - fault.start > self.rules.lease_s / 2:
                if before.at <= fault.start + SEEN_S:
                    return "stopped"
                is_late = True
            if fault.kind == "kill" and self.used[index] < self.rules.in_flight:
                self.used[index] += 1
                return "killed"
        # Another's came first, so it was stopped between the commit and its last byte: microseconds.
        self.late += is_late
        return "stopped late" if is_late and self.late <= 1 + self.stops // 50 else None

    def is_forgotten_between(self, start, end):
        return self.rules.redis_forgets and any(fault.kind == "redis" and start - 1 <= fault.start <= end for fault in self.faults)

    def crashes_since(self, start):
        return sum(1 for fault in self.faults if fault.kind in ("kill", "stop") and fault.end >= start)

    def is_at_a_crash(self, send):
        """Its answer came too late for a note of it."""
        answered = send.replied_at if send.replied_at is not None else send.at
        return any(fault.kind in ("kill", "stop") and send.at - SEEN_S <= fault.end and fault.start <= answered + NOTE_S
                   for fault in self.faults)

    def anything_between(self, start, end):
        return any(fault.kind != "sink" and fault.start - 0.01 <= end and fault.end >= start for fault in self.faults)

    def anything_since(self, start):
        return any(fault.kind != "sink" and fault.end >= start for fault in self.faults)


# ---- everything else --------------------------------------------------------------------------------------------

def judge_strangers(evidence, verdict):
    """Nothing is sent, and nothing is on record, that nobody published."""
    known = {one.order for one in evidence.published}
    lanes = {(one.order, lane) for one in evidence.published for lane in evidence.rules.lanes[one.source]}
    for send in evidence.sends:
        if send.order not in known:
            verdict.offend("invented", f"{send.lane}: about {send.order!r}, which nobody published", "", send.order)
        elif (send.order, send.lane) not in lanes:
            verdict.offend("mix-up", f"sent through {send.lane}, which its source does not use", "", send.order)
    eids = {eid_of(evidence.rules.space[one.source], one.order) for one in evidence.published}
    for eid in evidence.records:
        if eid not in eids:
            verdict.offend("invented", f"Redis has a record {eid} of nothing that was published")


def judge_rates(evidence, verdict):
    """In no window more than rate · window + burst + 1: the receiver's own bucket never runs over."""
    for lane, (rate, burst) in evidence.rules.rates.items():
        full, worst = 0.0, 0.0
        for send in sorted(evidence.sends, key=lambda one: one.at):
            if send.lane == lane:
                full = max(full, send.at) + 1 / rate
                worst = max(worst, (full - send.at) * rate)
        verdict.counts[f"{lane} most at once"] = round(worst)
        if worst > burst + 1 + 1e-3:
            verdict.offend("rate", f"{lane}: {worst:.0f} over {rate}/s, and {burst} + 1 are allowed")


def expected_index(delivery):
    if delivery.state in "SR":
        return None
    if delivery.state in "LXU":
        return {"L": "lease", "X": "dead", "U": "unknown"}[delivery.state]
    queue = "again" if delivery.state == "D" or delivery.flags >= 4 else "due"
    return f"{queue}:{delivery.lane}"


def judge_ledger(evidence, verdict):
    """Records and indexes agree, and a payload is there exactly as long as something of its event is open."""
    wanted = collections.defaultdict(dict)
    for eid, record in evidence.records.items():
        deliveries = {ordinal: Delivery(text) for ordinal, text in record.items() if ordinal.isdigit()}
        if not deliveries or not all(delivery.is_readable for delivery in deliveries.values()):
            verdict.offend("ledger", f"{eid}: unreadable: {record}")
            continue
        is_open = 0
        for ordinal, delivery in deliveries.items():
            index = expected_index(delivery)
            if index:
                is_open += 1
                wanted[index][f"{eid}:{ordinal}"] = int(record["t"]) + delivery.at
        if int(record["o"]) != is_open:
            verdict.offend("ledger", f"{eid}: says {record['o']} open deliveries, and {is_open} are")
        if evidence.payloads is not None and (eid in evidence.payloads) != (is_open > 0):
            verdict.offend("ledger", f"{eid}: {is_open} open deliveries, and its payload is "
                           f"{'there' if eid in evidence.payloads else 'gone'}")
    for index in set(wanted) | set(evidence.indexes):
        there, should = evidence.indexes.get(index, {}), wanted.get(index, {})
        for member in set(there) - set(should):
            verdict.offend("ledger", f"index {index} has {member}, which stands elsewhere")
        for member, score in should.items():
            if member not in there or int(there[member]) != score:
                verdict.offend("ledger", f"index {index} has {there.get(member)} for {member}, its record {score}")
    for eid in (evidence.payloads or set()) - set(evidence.records):
        verdict.offend("ledger", f"{eid}: a payload without a record")


def adds_up(status):
    return status["received"] == sum(status[name] for name in ("accepted", "duplicate", "rejected", "conflict"))


def judge_statuses(evidence, verdict):
    for status in evidence.statuses:
        if not adds_up(status):
            verdict.offend("sums", f"{status['instance']} ({status['incarnation']}): what it received is not the sum of its ends: {status}")


def judge_bounds(evidence, verdict):
    """However much is published, a daemon stays as small as it is; Redis's keys follow what was published, and no more."""
    verdict.counts.update(incarnations=len(evidence.statuses), keys=evidence.keys,
                          MiB=max((peak.rss >> 20 for peak in evidence.peaks), default=0))
    for peak in evidence.peaks:
        if peak.rss > MOST_RSS or peak.descriptors > MOST_DESCRIPTORS or peak.threads > MOST_THREADS:
            verdict.offend("bounds", f"{peak}, and {MOST_RSS} bytes, {MOST_DESCRIPTORS} descriptors and {MOST_THREADS} threads are the bounds")
    most = KEYS_OF_AN_EVENT * len(evidence.published) + KEYS_BESIDES
    if evidence.keys > most:
        verdict.offend("bounds", f"{evidence.keys} keys in Redis for {len(evidence.published)} events: more than {most}")


def judge_fsck(evidence, verdict):
    if evidence.fsck:
        verdict.offend("fsck", evidence.fsck)


def judge_logs(evidence, verdict):
    for line in evidence.log_lines:
        if re.search(r"user-\d+@example\.org", line):
            verdict.offend("log", f"a whole address: {line[:200]}")
            return


def story(evidence, offence):
    """All that is known about the event of an offence, in the order of time."""
    lines = []
    for one in evidence.published:
        if one.order == offence.order:
            lines.append((one.at, f"published to {one.source} for {one.user}, {one.heard} heard it"
                          + (f", content {one.variant}" if one.variant else "")))
    for send in evidence.sends:
        if send.order == offence.order:
            lines.append((send.at, f"{send.lane}: final dot, #{send.serial}, {send.key} to {send.recipient} hash {send.hash}"))
            if send.code is not None:
                lines.append((send.replied_at, f"{send.lane}: #{send.serial} is told {send.code or 'nothing'}"))
    if lines:
        times = [at for at, _ in lines]
        lines += [(fault.start, f"FAULT {fault.kind} {fault.who} {fault.what} until {fault.end:.3f}") for fault in evidence.faults
                  if any(fault.start - 0.5 <= at <= fault.end + 0.5 for at in times)]
    text = [f"{offence.kind}: {offence.source} {offence.order}: {offence.text}"]
    text += [f"    {at:.3f} {what}" for at, what in sorted(lines)]
    if offence.source:
        eid = eid_of(evidence.rules.space[offence.source], offence.order)
        text.append(f"    Redis: {eid} {evidence.records.get(eid)}")
        text += [f"    log: {line.strip()[:300]}" for line in evidence.log_lines if eid in line][:20]
    return "\n".join(text)
