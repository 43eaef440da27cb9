#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes inputs/ and expected/: what each example is fed, and what must come out.

Each packet and context stands beside the verdict that the program's description promises, so that
an expectation can be read and judged without running anything. The formats are in README.md.
Usage: examples/make_inputs.py [OUTPUT-DIRECTORY]
"""

import json
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
ICMP, TCP, UDP = 1, 6, 17
AF_INET, AF_INET6 = 2, 23


# Frames

def ip4(text):
    return bytes(int(part) for part in text.split("."))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload):
    return bytes.fromhex("02000000000b02000000000a") + struct.pack(">H", kind) + payload


def ipv4(protocol, payload, ttl=64, options=b"", source="192.0.2.1", damage=0):
    length = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x40 | length // 4, 0, length + len(payload), 1, 0, ttl, protocol, 0,
        ip4(source), ip4("198.51.100.2")) + options
    head = head[:10] + struct.pack(">H", checksum(head) ^ damage) + head[12:]
    return ethernet(0x0800, head + payload)


def ipv6(protocol, payload, hops=64):
    address = bytes.fromhex("20010db8000000000000000000000001")
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, hops) + address + address
    return ethernet(0x86DD, head + payload)


def udp(destination, data=b"", source=40000):
    return struct.pack(">HHHH", source, destination, 8 + len(data), 0) + data


SYN, ACK = 0x02, 0x10


def tcp(destination, flags=SYN):
    return struct.pack(">HHIIBBHHH", 40000, destination, 1, 0, 5 << 4, flags, 1024, 0, 0)


QUERY = bytes.fromhex("1234010000010000000000000765786100000100 01".replace(" ", ""))
ARP = ethernet(0x0806, bytes(28))


def pcap(name, frames):
    """Writes a capture (little-endian, microseconds, Ethernet) and names it for `expected`."""
    text = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for at, frame in enumerate(frames):
        text += struct.pack("<IIII", 1, at, len(frame), len(frame)) + frame
    path = OUT / "inputs" / f"{name}.pcap"
    path.write_bytes(text)
    return f"inputs/{name}.pcap"


# Contexts

def contexts(name, title, rows):
    """Writes contexts: hex of the structure, then hex of the packet if it has one."""
    lines = [f"# {title}"]
    for note, context, *data in rows:
        lines.append(f"# {note}")
        lines.append(" ".join(part.hex() for part in (context, *data)))
    (OUT / "inputs" / f"{name}.ctx").write_text("\n".join(lines) + "\n")
    return f"inputs/{name}.ctx"


def bind(process, operation, port):
    address = struct.pack("<H", AF_INET) + struct.pack(">H", port) + bytes(12)
    application = "\\device\\harddiskvolume1\\server.exe".encode("utf-16-le")
    context = struct.pack("<QQQ16sBxxxIBxxxxxxx", 0, 0, process, address, 16, operation, TCP)
    return context, application


def address16(address):
    return address + bytes(16 - len(address))


def sock_addr(family, destination, port, protocol=TCP):
    return struct.pack(
        "<I16s2s2x16s2s2xIIxxxxQ", family, address16(ip4("192.0.2.1")), struct.pack(">H", 40000),
        address16(destination), struct.pack(">H", port), protocol, 1, 7)


def policy_key(family, destination, port, protocol=TCP):
    return struct.pack("<16s2sHI", address16(destination), struct.pack(">H", port), family, protocol)


def policy_rule(action, destination=b"", port=0):
    return struct.pack("<I16s2sxx", action, address16(destination), struct.pack(">H", port))


def sock_ops(operation, family, local, remote, local_port, remote_port, protocol):
    return struct.pack(
        "<II16sI16sIBxxxIQ", operation, family, address16(local), local_port, address16(remote),
        remote_port, protocol, 1, 7)


def flow_event(operation, family, local, remote, local_port, remote_port, protocol):
    tail = struct.pack(
        "<II16s16sIIII", operation, family, address16(local), address16(remote), local_port,
        remote_port, protocol, 1)
    return "??" * 8 + tail.hex()


# Expectations

def u32(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers).hex()


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers).hex()


def array(*values):
    return [[u32(at), value] for at, value in enumerate(values)]


def table(entries):
    return sorted([key, value] for key, value in entries)


def expect(name, *runs, **more):
    text = json.dumps({"object": f"{name}.o", **more, "runs": list(runs)}, indent=2)
    # Lists of plain values stay on one line.
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda match: "[" + " ".join(match[1].split()) + "]", text)
    (OUT / "expected" / f"{name}.json").write_text(text + "\n")


def run(program, source, verdicts, **rest):
    return {"program": program, "input": source, "verdicts": verdicts, **rest}


PASS, DROP, TX = 1, 2, 3


def droppacket():
    frames = [
        (DROP, ipv4(UDP, udp(53))),
        (PASS, ipv4(UDP, udp(53, QUERY))),
        (PASS, ipv4(UDP, udp(5353))),
        (DROP, ipv4(UDP, udp(53), options=bytes([1, 1, 1, 0]))),
        (DROP, ipv4(UDP, udp(53), options=bytes(40))),
        (DROP, ipv6(UDP, udp(53))),
        (PASS, ipv6(UDP, udp(53, QUERY))),
        (PASS, ipv4(TCP, tcp(53))),
        (PASS, ARP),
        (PASS, ipv4(UDP, udp(53))[:10]),  # not even an Ethernet header
        (PASS, ipv4(UDP, udp(53))[:38]),  # ends in the middle of the UDP header
        (PASS, ipv4(UDP, udp(53))[:14]),  # ends after the Ethernet header
        (PASS, ipv4(UDP, udp(40000, source=53))),
        (DROP, ipv4(UDP, udp(53)) + bytes(18)),  # padded to the shortest Ethernet frame
    ]
    verdicts = [verdict for verdict, _ in frames]
    source = pcap("droppacket", [frame for _, frame in frames])
    expect(
        "droppacket",
        run("DropPacket", source, verdicts, maps={
            "dropcnt_map": array(u64(verdicts.count(DROP))), "interface_index_map": array(u32(0))}),
        run("DropPacket", source, [PASS] * len(frames),
            maps_before={"interface_index_map": array(u32(9999))},  # protects another interface
            maps={"dropcnt_map": array(u64(0)), "interface_index_map": array(u32(9999))}),
    )


def droppacket_unsafe():
    source = (HERE / "droppacket_unsafe.c").read_text().splitlines()
    line = next(at for at, text in enumerate(source, 1) if "if (udp->destPort" in text)
    expect("droppacket_unsafe", rejected={
        "program": "DropPacket", "file": "droppacket_unsafe.c", "line": line,
        "text": source[line - 1].strip()})


def port_quota():
    permit, deny = 0, 1
    take, taken, give = 0, 1, 2
    rows = [
        (permit, "first port of process 1000", *bind(1000, take, 80)),
        (permit, "the system reports it taken", *bind(1000, taken, 80)),
        (permit, "second port", *bind(1000, take, 443)),
        (deny, "third port: over the quota", *bind(1000, take, 8080)),
        (permit, "another process", *bind(2000, take, 8080)),
        (permit, "gives one back", *bind(1000, give, 80)),
        (permit, "may bind again", *bind(1000, take, 8080)),
        (permit, "the system process is not limited", *bind(4, take, 445)),
        (permit, "a process that holds nothing gives back", *bind(3000, give, 1)),
        (permit, "the other process gives back its last port", *bind(2000, give, 8080)),
    ]
    source = contexts("port_quota", "bind_md_t, application id", [row[1:] for row in rows])
    strict = [permit, permit, deny, deny, permit, permit, permit, permit, permit, permit]
    expect(
        "port_quota",
        run("PortQuota", source, [row[0] for row in rows], maps={
            "quota_map": array(u32(0)),
            "bound_map": table([(u64(1000), u32(2))]),
            "denied_map": table([(u64(1000), u64(1))])}),
        run("PortQuota", source, strict,
            maps_before={"quota_map": array(u32(1))},
            maps={
                "quota_map": array(u32(1)),
                "bound_map": table([(u64(1000), u32(1))]),
                "denied_map": table([(u64(1000), u64(2))])}),
    )


def connect_policy():
    reject, proceed = 0, 1
    allow, block, redirect = 0, 1, 2
    v6 = lambda last: bytes.fromhex("20010db8") + bytes(11) + bytes([last])
    rules = [
        (policy_key(AF_INET, ip4("10.0.0.1"), 80), policy_rule(block)),
        (policy_key(AF_INET, ip4("10.0.0.2"), 0), policy_rule(redirect, ip4("127.0.0.1"), 8080)),
        (policy_key(AF_INET, ip4("10.0.0.2"), 443), policy_rule(allow)),
        (policy_key(AF_INET6, v6(1), 22), policy_rule(block)),
        (policy_key(AF_INET6, v6(2), 0), policy_rule(redirect, bytes(15) + b"\1", 2222)),
    ]
    policy = table((key.hex(), rule.hex()) for key, rule in rules)
    moved = sock_addr(AF_INET, ip4("127.0.0.1"), 8080)
    rows4 = [
        (reject, "blocked", sock_addr(AF_INET, ip4("10.0.0.1"), 80), None),
        (proceed, "another port", sock_addr(AF_INET, ip4("10.0.0.1"), 81), None),
        (proceed, "another protocol", sock_addr(AF_INET, ip4("10.0.0.1"), 80, UDP), None),
        (proceed, "redirected", sock_addr(AF_INET, ip4("10.0.0.2"), 80), moved),
        (proceed, "the rule for the port wins", sock_addr(AF_INET, ip4("10.0.0.2"), 443), None),
        (proceed, "no rule", sock_addr(AF_INET, ip4("10.0.0.9"), 80), None),
    ]
    moved = sock_addr(AF_INET6, bytes(15) + b"\1", 2222)
    rows6 = [
        (reject, "blocked", sock_addr(AF_INET6, v6(1), 22), None),
        (proceed, "redirected", sock_addr(AF_INET6, v6(2), 22), moved),
        (proceed, "no rule", sock_addr(AF_INET6, v6(3), 22), None),
    ]

    def policy_run(program, name, rows, decisions):
        source = contexts(name, "bpf_sock_addr_t", [row[1:3] for row in rows])
        return run(program, source, [row[0] for row in rows],
                   maps_before={"policy_map": policy},
                   maps={"policy_map": policy, "decisions_map": array(*map(u64, decisions))},
                   contexts_after=[(row[3] or row[2]).hex() for row in rows])

    expect(
        "connect_policy",
        policy_run("ConnectPolicy4", "connect_policy4", rows4, [4, 1, 1]),
        policy_run("ConnectPolicy6", "connect_policy6", rows6, [1, 1, 1]),
    )


def flow_logger():
    active, passive, deleted = 0, 1, 2
    v4, v6 = (ip4("192.0.2.1"), ip4("198.51.100.2")), (bytes([0x20] * 16), bytes([0xFE] * 16))
    flows = [
        ("we connect", (active, AF_INET, *v4, 40000, 443, TCP)),
        ("we accept", (passive, AF_INET6, *v6, 443, 50000, TCP)),
        ("the first flow ends", (deleted, AF_INET, *v4, 40000, 443, TCP)),
    ]
    source = contexts("flow_logger", "bpf_sock_ops_t",
                      [(note, sock_ops(*flow)) for note, flow in flows])
    expect("flow_logger", run(
        "FlowLogger", source, [0, 0, 0],
        maps={"totals_map": array(*map(u64, [1, 1, 1, 0]))},
        records={"events_map": [flow_event(*flow) for _, flow in flows]}))


def tail_calls():
    frames = [
        (PASS, ipv4(UDP, udp(53))),
        (DROP, ipv4(UDP, udp(53), ttl=0)),
        (PASS, ipv6(UDP, udp(53))),
        (DROP, ipv6(UDP, udp(53), hops=0)),
        (TX, ARP),
        (PASS, ethernet(0x1234, bytes(46))),
        (DROP, ARP[:13]),
    ]
    source = pcap("tail_calls", [frame for _, frame in frames])
    # One invocation makes at most 33 tail calls, so the ARP program runs 33 times.
    expect("tail_calls", run("Dispatch", source, [verdict for verdict, _ in frames],
                             maps={"runs_map": array(*map(u64, [2, 2, 33, 1]))}))


def subprograms():
    frames = [
        (PASS, PASS, ipv4(UDP, udp(53))),
        (DROP, DROP, ipv4(UDP, udp(53), damage=0x0100)),
        (PASS, DROP, ipv6(UDP, udp(53))),
        (PASS, DROP, ipv4(UDP, udp(53), options=bytes(4))),
        (PASS, DROP, ipv4(UDP, udp(53))[:33]),
        (PASS, PASS, ipv4(ICMP, bytes(8), source="203.0.113.77")),
    ]
    source = pcap("subprograms", [frame for _, _, frame in frames])
    maps = {"outcomes_map": array(*map(u64, [2, 1, 3]))}
    expect(
        "subprograms",
        run("DropDamaged", source, [verdict for verdict, _, _ in frames], maps=maps),
        run("PassIntact", source, [verdict for _, verdict, _ in frames], maps=maps),
    )


def globals_():
    frames = [
        (PASS, ipv4(TCP, tcp(23), source="192.0.2.1")),
        (PASS, ipv4(TCP, tcp(80))),
        (PASS, ipv4(TCP, tcp(23), source="192.0.2.2")),
        (PASS, ipv4(TCP, tcp(23, ACK))),  # not an attempt
        (DROP, ipv4(TCP, tcp(23), source="192.0.2.3")),
        (PASS, ipv4(UDP, udp(23, bytes(12)))),
        (DROP, ipv4(TCP, tcp(23), source="192.0.2.4")),
        (PASS, ipv4(TCP, tcp(23))[:50]),
    ]
    source = pcap("globals", [frame for _, frame in frames])
    expect("globals", run("GuardPort", source, [verdict for verdict, _ in frames], maps={
        "globals.rodata": array("1700"),
        "globals.data": array(u32(0)),
        "globals.bss": array(u64(4, 2) + ip4("192.0.2.4").hex())}))


def rate_limiter():
    first, second = "192.0.2.1", "192.0.2.2"
    packet = lambda source: ipv4(UDP, udp(53), source=source)
    frames = [
        (PASS, packet(first)),
        (PASS, packet(first)),
        (PASS, packet(first)),
        (DROP, packet(first)),
        (PASS, packet(second)),
        (DROP, packet(first)),
        (PASS, ipv6(UDP, udp(53))),
        (PASS, packet(second)),
        (DROP, packet(first)),
        (PASS, packet(first)[:30]),
    ]
    source = pcap("rate_limiter", [frame for _, frame in frames])
    expect("rate_limiter", run("RateLimit", source, [verdict for verdict, _ in frames], maps={
        "buckets_map": table([
            (ip4(first).hex(), "??" * 8 + u64(3)), (ip4(second).hex(), "??" * 8 + u64(2))]),
        "limited_map": table([(ip4(first).hex(), u64(3))])}))


def main():
    for folder in ("inputs", "expected"):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
    for example in (droppacket, droppacket_unsafe, port_quota, connect_policy, flow_logger,
                    tail_calls, subprograms, globals_, rate_limiter):
        example()


if __name__ == "__main__":
    main()
