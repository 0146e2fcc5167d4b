#!/usr/bin/python3
"""The switch between hosts that are network namespaces: carries packets from one to the other, as it is told to.

    switch.py SEED ADDRESS=FD...        each FD is the host's network card (a TUN device, IPv4)

Takes one JSON object per line on its standard input and answers each with a line when it is in force:
{"from": ADDRESS, "to": ADDRESS, "loss": 0..1, "delay_ms": N, "jitter_ms": N} for one direction (loss 1: nothing comes through,
and nobody is told), {"clear": true} for all of them, {"counts": true}, answered with what was carried and dropped by direction.
Packets of a direction stay in order. Ends with its standard input. Standard library only.
"""
import heapq
import json
import os
import random
import select
import socket
import sys
import time

PACKET_MAX = 65536
BATCH = 64              # packets taken from one card before the others have their turn
LATE_MAX = 20000        # packets on their way; more are dropped, as a full queue would


class Switch:
    """Cards, rules by direction, and what is under way."""

    def __init__(self, seed, cards):
        self.dice = random.Random(seed)
        self.cards = cards                      # address as 4 bytes -> fd
        self.names = {socket.inet_ntoa(a): a for a in cards}
        self.rules = {}                         # (from, to) -> (loss, delay, jitter) in seconds
        self.late = []                          # heap of (due, number, fd, packet)
        self.last_due = {}
        self.number = 0
        self.carried, self.dropped = {}, {}

    def put(self, fd, packet):
        """Onto the card; a full card or one that is gone loses it."""
        try:
            os.write(fd, packet)
        except OSError:
            pass

    def packet(self, packet):
        """What came from a host."""
        way = packet[12:16], packet[16:20]
        fd = self.cards.get(way[1])
        if len(packet) < 20 or packet[0] >> 4 != 4 or fd is None:
            return
        rule = self.rules.get(way)
        if rule and (rule[0] >= 1 or self.dice.random() < rule[0]):
            self.dropped[way] = self.dropped.get(way, 0) + 1
            return
        self.carried[way] = self.carried.get(way, 0) + 1
        if not rule or not (rule[1] or rule[2]):
            self.put(fd, packet)
        elif len(self.late) < LATE_MAX:
            due = max(time.monotonic() + rule[1] + rule[2] * self.dice.random(), self.last_due.get(way, 0))
            self.last_due[way] = due
            self.number += 1
            heapq.heappush(self.late, (due, self.number, fd, packet))

    def command(self, line):
        """One command's answer."""
        order = json.loads(line)
        if "clear" in order:
            self.rules.clear()
        elif "counts" in order:
            return {name: {f"{socket.inet_ntoa(a)}>{socket.inet_ntoa(b)}": n for (a, b), n in of.items()}
                    for name, of in (("carried", self.carried), ("dropped", self.dropped))}
        else:
            way = self.names[order["from"]], self.names[order["to"]]
            self.rules[way] = order.get("loss", 0), order.get("delay_ms", 0) / 1000, order.get("jitter_ms", 0) / 1000
        return {}

    def run(self):
        """Until the standard input ends."""
        poll = select.epoll()
        for fd in self.cards.values():
            os.set_blocking(fd, False)
            poll.register(fd, select.EPOLLIN)
        poll.register(0, select.EPOLLIN)
        orders = b""
        while True:
            wait = max(0.0, self.late[0][0] - time.monotonic()) if self.late else -1
            for fd, _ in poll.poll(wait):
                if fd == 0:
                    more = os.read(0, 65536)
                    if not more:
                        return
                    *lines, orders = (orders + more).split(b"\n")
                    for line in lines:
                        sys.stdout.write(json.dumps(self.command(line)) + "\n")
                        sys.stdout.flush()
                    continue
                for _ in range(BATCH):
                    try:
                        self.packet(os.read(fd, PACKET_MAX))
                    except OSError:             # no more for now, or the card is gone
                        break
            now = time.monotonic()
            while self.late and self.late[0][0] <= now:
                _, _, fd, packet = heapq.heappop(self.late)
                self.put(fd, packet)


if __name__ == "__main__":
    Switch(sys.argv[1], {socket.inet_aton(a): int(fd) for a, _, fd in (c.partition("=") for c in sys.argv[2:])}).run()
