//! The runtime's own hooks: what programs see of frames and socket operations, what their results
//! mean, how several programs agree. Programs are text, proved by the verifier and interpreted.
#![expect(unsafe_code, reason = "vouches for the programs of its hooks")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{
    MapKind, Platform,
    program_type::{LinkType, by_section},
};
use ebpfcore::{
    Core, Flags, Hook, Link, Map, Program, Shared, Status,
    helper::Extensions,
    hooks::{
        self, Action, Caller, Frame, HookHelpers, Kind, Layer, Point, RedirectContext,
        bind::{self, Bind, Operation},
        flow::{self, Flow, Origin},
        frame,
        socket::{self, Endpoint, Family, Socket},
        table::{self, TABLE},
    },
    object::{Checking, code_over},
};
use program::{MapDef, ProgramId, RawProgram};
use support::core;
use verifier::{Options, verify};

/// A runtime with all hooks, and one map for programs to leave things in.
struct Stack {
    core: Shared<Core>,
    hooks: Vec<Hook>,
    notes: Shared<Map>,
}

impl Stack {
    fn new() -> Stack {
        let (core, _) = core();
        let hooks = hooks::make().unwrap();
        let notes = support::map(&core, MapKind::Array, [4, 64, 4]);
        Stack { core, hooks, notes }
    }

    fn point(&self, section: &str) -> Point<'_> {
        // SAFETY: all programs are proved.
        unsafe { Point::find(&self.hooks, table::by_section(section).unwrap()) }.unwrap()
    }

    /// Proves a program; `map_fd(0)` is the map.
    fn program(&self, section: &str, text: &str) -> Shared<Program> {
        let program_type = by_section(Platform::Windows, section).unwrap().program_type;
        let sizes = [4, 64, 4];
        let kind = MapKind::Array;
        let number = kind
            .row(Platform::Windows)
            .unwrap()
            .number(Platform::Windows);
        let insns = isa::asm::assemble(text).unwrap();
        let raw = RawProgram {
            name: "p",
            platform: Platform::Windows,
            program_type,
            bytes: &isa::encode::program(&insns).unwrap(),
            maps: vec![MapDef::sized("m".into(), kind, number.unwrap(), sizes)],
        };
        let object = program::from_bytecode(raw).unwrap();
        let verified = verify(&object, ProgramId(0), &Options::default());
        let verified =
            verified.unwrap_or_else(|no| panic!("{}", verifier::render::text(&object, &no)));
        let maps = [self.notes.clone()];
        let code = code_over(&object, &maps, &verified, &HookHelpers, Checking::Unproved).unwrap();
        Program::new(&self.core, "p", program_type, code).unwrap()
    }

    fn attach(&self, section: &str, scope: u32, text: &str) -> Result<Shared<Link>, Status> {
        let hook = self.point(section).hook();
        let parameter = match hook.attach_type().link {
            LinkType::Plain => Vec::new(),
            _ => scope.to_le_bytes().to_vec(),
        };
        let program = self.program(section, text);
        let link = Link::new(&self.core, hook.attach_type(), &parameter, program)?;
        hook.attach(&self.core, &link).map(|()| link)
    }

    fn detach(&self, link: &Link) {
        let hook = self.point(link.attach_type().prefix).hook();
        hook.detach(&self.core, link).unwrap();
    }

    /// The first bytes that a program left behind, and zeros instead of them.
    fn take_note(&self) -> Vec<u8> {
        let mut note = vec![0; 64];
        self.notes.lookup(&[0; 4], &mut note).unwrap();
        self.notes.update(&[0; 4], &[0; 64], Flags::Any).unwrap();
        note
    }

    fn frame(&self, bytes: &mut [u8], interface: u32) -> Action {
        frame::classify(
            &mut self.core.enter(),
            self.point("xdp"),
            Frame::of(bytes, interface),
        )
    }

    fn authorize(&self, section: &str, socket: &Socket, caller: &Caller<'_>) -> Action {
        socket::authorize(&mut self.core.enter(), self.point(section), socket, caller)
    }

    fn connect(&self, socket: &Socket, caller: &Caller<'_>) -> socket::Decision {
        let points = ["cgroup/connect4", "cgroup/connect6"].map(|section| self.point(section));
        socket::connect(&mut self.core.enter(), points, socket, caller)
    }
}

/// Leaves a copy of so many bytes of the context in the map, in words of 32 bits.
fn keep_context(bytes: u32, skip: &[u32]) -> String {
    let mut text = String::from(
        "r6 = r1\n*(u32 *)(r10 - 4) = 0\nr1 = map_fd(0) ll\nr2 = r10\nr2 += -4\ncall 1\n\
         if r0 != 0 goto +2\nr0 = 1\nexit\n",
    );
    for at in (0..bytes).step_by(4).filter(|at| !skip.contains(at)) {
        text += &format!("r1 = *(u32 *)(r6 + {at})\n*(u32 *)(r0 + {at}) = r1\n");
    }
    text
}

/// Leaves the 64-bit result of a helper in the map; the helper's arguments are set by `arguments`.
fn keep_result(arguments: &str, helper: u32, result: u32) -> String {
    format!(
        "r6 = r1\n{arguments}call {helper}\nr7 = r0\n*(u32 *)(r10 - 4) = 0\nr1 = map_fd(0) ll\n\
         r2 = r10\nr2 += -4\ncall 1\nif r0 == 0 goto +1\n*(u64 *)(r0 + 0) = r7\nr0 = {result}\nexit"
    )
}

fn returning(number: i32) -> String {
    format!("r0 = {number}\nexit")
}

fn word(note: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(note[at..at + 4].try_into().unwrap())
}

fn first_word(note: &[u8]) -> u64 {
    u64::from_le_bytes(note[..8].try_into().unwrap())
}

fn v4(section_family: Family) -> Socket {
    Socket {
        family: section_family,
        local: Endpoint::v4([10, 0, 0, 1], 50_000),
        remote: Endpoint::v4([192, 168, 7, 9], 443),
        protocol: 6,
        compartment: 3,
        interface_luid: 0x0006_0080_0000_0000,
        is_known: false,
    }
}

fn v6() -> Socket {
    let address = |last: u8| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&[0x20, 0x01]);
        bytes[15] = last;
        bytes
    };
    Socket {
        local: Endpoint {
            address: address(1),
            port: 50_000,
        },
        remote: Endpoint {
            address: address(2),
            port: 443,
        },
        ..v4(Family::V6)
    }
}

fn nobody() -> Caller<'static> {
    Caller::default()
}

#[test]
fn the_table_names_each_hook_once_and_its_layers_fit() {
    for row in &TABLE {
        let same = TABLE
            .iter()
            .filter(|other| other.attach.guid == row.attach.guid);
        assert_eq!(same.count(), 1, "{}", row.attach.prefix);
        let is_frame = row.attach.program_type.name == "xdp";
        assert_eq!(is_frame, row.layers == [Layer::InboundMacFrameNative]);
        assert_eq!(row.kind == Kind::Frame, is_frame);
        // Every result that the verifier lets pass has a meaning of its own.
        if let Some((low, high)) = row.attach.return_range() {
            let named = (low..=high).map(|result| row.meaning(result as u64));
            assert!(named.clone().any(|action| action == Action::Permit));
            assert!(named.clone().any(Action::is_final));
        }
    }
    let xdp = table::by_section("xdp").unwrap();
    assert_eq!(
        xdp.meaning(0x1_0000_0001),
        Action::Permit,
        "results are 32 bits wide"
    );
    assert_eq!(xdp.meaning(u64::from(u32::MAX)), Action::Absorb);
}

#[test]
fn everything_passes_without_programs() {
    let stack = Stack::new();
    assert_eq!(stack.frame(&mut [0; 60], 1), Action::Permit);
    let decision = stack.connect(&v4(Family::V4), &nobody());
    assert_eq!((decision.action, decision.redirect), (Action::Permit, None));
    for row in TABLE
        .iter()
        .filter(|row| matches!(row.kind, Kind::Socket(_)))
    {
        let action = stack.authorize(row.attach.prefix, &v6(), &nobody());
        assert_eq!(action, Action::Permit, "{}", row.attach.prefix);
    }
}

/// Drops frames whose EtherType is not IPv4, sends those to port 7 back with exchanged addresses.
const ECHO: &str = "
    r2 = *(u64 *)(r1 + 0)
    r3 = *(u64 *)(r1 + 8)
    r4 = r2
    r4 += 38
    if r4 > r3 goto pass
    r5 = *(u16 *)(r2 + 12)
    if r5 != 8 goto drop
    r5 = *(u16 *)(r2 + 36)
    if r5 != 0x700 goto pass
    r5 = *(u32 *)(r2 + 0)
    r6 = *(u32 *)(r2 + 6)
    *(u32 *)(r2 + 0) = r6
    *(u32 *)(r2 + 6) = r5
    r0 = 3
    exit
drop:
    r0 = 2
    exit
pass:
    r0 = 1
    exit";

#[test]
fn a_program_decides_about_frames_by_their_bytes() {
    let stack = Stack::new();
    let link = stack.attach("xdp", 0, ECHO).unwrap();
    let mut frame: Vec<u8> = (0..60).collect();
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[36..38].copy_from_slice(&[0, 7]);
    assert_eq!(stack.frame(&mut frame, 1), Action::Transmit);
    assert_eq!(frame[..10], [6, 7, 8, 9, 4, 5, 0, 1, 2, 3]);
    frame[37] = 8;
    assert_eq!(stack.frame(&mut frame, 1), Action::Permit);
    frame[13] = 6;
    assert_eq!(stack.frame(&mut frame, 1), Action::Absorb);
    for length in [0, 1, 37] {
        assert_eq!(stack.frame(&mut frame[..length], 1), Action::Permit);
    }
    assert_eq!(stack.frame(&mut frame[..38], 1), Action::Absorb);
    stack.detach(&link);
    assert_eq!(stack.frame(&mut frame, 1), Action::Permit);
}

#[test]
fn frames_go_to_the_programs_of_their_interface() {
    let stack = Stack::new();
    stack.attach("xdp", 4, &returning(2)).unwrap();
    assert_eq!(stack.frame(&mut [0; 60], 4), Action::Absorb);
    assert_eq!(stack.frame(&mut [0; 60], 5), Action::Permit);
    stack.attach("xdp", 0, &returning(3)).unwrap();
    assert_eq!(
        stack.frame(&mut [0; 60], 4),
        Action::Absorb,
        "the first one ends the round"
    );
    assert_eq!(stack.frame(&mut [0; 60], 5), Action::Transmit);
    let again = stack.attach("xdp", 4, &returning(1)).err();
    assert_eq!(again, Some(Status::ObjectAlreadyExists));
    // The interface is in the context.
    let stack = Stack::new();
    let keep = keep_context(28, &[0, 4, 8, 12, 16, 20]) + "r0 = 1\nexit";
    stack.attach("xdp", 0, &keep).unwrap();
    stack.frame(&mut [0; 60], 0x1234);
    assert_eq!(word(&stack.take_note(), 24), 0x1234);
}

#[test]
fn programs_see_source_and_destination_by_direction() {
    let stack = Stack::new();
    let skip = [16, 36, 52];
    let keep = |rest: &[u32]| {
        let skip: Vec<u32> = skip.iter().chain(rest).copied().collect();
        // Ports share a word with padding.
        keep_context(64, &[skip.as_slice(), &[20, 40, 16, 36]].concat())
            + "r1 = *(u16 *)(r6 + 20)\n*(u16 *)(r0 + 20) = r1\n\
               r1 = *(u16 *)(r6 + 40)\n*(u16 *)(r0 + 40) = r1\nr0 = 1\nexit"
    };
    let (local, remote) = ([10, 0, 0, 1], [192, 168, 7, 9]);
    let (near, far) = (50_000u16.to_be_bytes(), 443u16.to_be_bytes());
    let nothing = ([0; 4], [0; 2]);
    for (section, source, destination) in [
        ("cgroup/recv_accept4", (remote, far), (local, near)),
        (
            "cgroup/connect_authorization4",
            (local, near),
            (remote, far),
        ),
        ("cgroup/bind4", nothing, (local, near)),
        ("cgroup/listen4", nothing, (local, near)),
        ("cgroup/connect4", (local, near), (remote, far)),
    ] {
        stack.attach(section, 0, &keep(&[])).unwrap();
        let action = match section {
            "cgroup/connect4" => stack.connect(&v4(Family::V4), &nobody()).action,
            _ => stack.authorize(section, &v4(Family::V4), &nobody()),
        };
        assert_eq!(action, Action::Permit, "{section}");
        let note = stack.take_note();
        assert_eq!(word(&note, 0), 2, "{section}: AF_INET");
        assert_eq!(
            (&note[4..8], &note[20..22]),
            (&source.0[..], &source.1[..]),
            "{section}"
        );
        let seen = (&note[24..28], &note[40..42]);
        assert_eq!(seen, (&destination.0[..], &destination.1[..]), "{section}");
        assert_eq!((word(&note, 44), word(&note, 48)), (6, 3), "{section}");
        assert_eq!(word(&note, 60), 0x0006_0080, "{section}");
    }
}

#[test]
fn the_strongest_verdict_counts() {
    use Action::{Block, Permit, PermitHard};
    for (verdicts, action) in [
        (&[1, 1][..], Permit),
        (&[1, 0], Block),
        (&[0, 1], Block),
        (&[1, 2], PermitHard),
        (&[2, 1], PermitHard),
        (&[0, 2], Block),
        (&[2, 0], Block),
        (&[1, 1, 2], PermitHard),
        (&[1, 1, 0], Block),
    ] {
        let stack = Stack::new();
        for verdict in verdicts {
            stack
                .attach("cgroup/bind4", 0, &returning(*verdict))
                .unwrap();
        }
        let found = stack.authorize("cgroup/bind4", &v4(Family::V4), &nobody());
        assert_eq!(found, action, "{verdicts:?}");
    }
}

#[test]
fn hooks_take_as_many_programs_as_they_should() {
    let stack = Stack::new();
    for (section, same, other) in [
        ("cgroup/connect4", true, true),
        ("cgroup/connect_authorization6", true, true),
        ("cgroup/bind6", true, true),
        ("cgroup/recv_accept4", false, true),
        ("cgroup/listen6", false, true),
        ("sockops", false, true),
        ("bind", false, false),
    ] {
        stack.attach(section, 3, &returning(1)).unwrap();
        let again = stack.attach(section, 3, &returning(1)).is_ok();
        assert_eq!(again, same, "{section}");
        let elsewhere = stack.attach(section, 4, &returning(1)).is_ok();
        assert_eq!(elsewhere, other, "{section}");
    }
}

#[test]
fn compartments_and_known_connections_are_told_apart() {
    let stack = Stack::new();
    stack
        .attach("cgroup/recv_accept6", 3, &returning(0))
        .unwrap();
    let socket = v6();
    let ask = |socket: &Socket| stack.authorize("cgroup/recv_accept6", socket, &nobody());
    assert_eq!(ask(&socket), Action::Block);
    let elsewhere = Socket {
        compartment: 4,
        ..socket
    };
    assert_eq!(ask(&elsewhere), Action::Permit);
    let known = Socket {
        is_known: true,
        ..socket
    };
    assert_eq!(ask(&known), Action::Permit);
    stack.attach("cgroup/connect6", 0, &returning(0)).unwrap();
    assert_eq!(stack.connect(&socket, &nobody()).action, Action::Block);
    assert_eq!(stack.connect(&known, &nobody()).action, Action::Permit);
}

/// Sends connections to 127.0.0.1:8080.
const TO_PROXY: &str = "*(u32 *)(r1 + 24) = 0x100007f\n*(u16 *)(r1 + 40) = 0x901f\nr0 = 1\nexit";

#[test]
fn a_connection_gets_another_destination() {
    let stack = Stack::new();
    let link = stack.attach("cgroup/connect4", 0, TO_PROXY).unwrap();
    // Not called any more once the destination is another one.
    stack.attach("cgroup/connect4", 0, &returning(0)).unwrap();
    let decision = stack.connect(&v4(Family::V4), &nobody());
    assert_eq!(decision.action, Action::Permit);
    assert_eq!(decision.redirect, Some(Endpoint::v4([127, 0, 0, 1], 8080)));
    // What goes there already is not redirected, so the second one decides.
    let there = Socket {
        remote: Endpoint::v4([127, 0, 0, 1], 8080),
        ..v4(Family::V4)
    };
    let decision = stack.connect(&there, &nobody());
    assert_eq!((decision.action, decision.redirect), (Action::Block, None));
    stack.detach(&link);
    assert_eq!(
        stack.connect(&v4(Family::V4), &nobody()).action,
        Action::Block
    );
}

#[test]
fn a_refused_connection_is_not_redirected() {
    let stack = Stack::new();
    let refuse = TO_PROXY.replace("r0 = 1", "r0 = 0");
    stack.attach("cgroup/connect4", 0, &refuse).unwrap();
    let decision = stack.connect(&v4(Family::V4), &nobody());
    assert_eq!((decision.action, decision.redirect), (Action::Block, None));
}

#[test]
fn ipv4_over_an_ipv6_socket_is_ipv4_to_programs() {
    let stack = Stack::new();
    stack.attach("cgroup/connect4", 0, TO_PROXY).unwrap();
    stack.attach("cgroup/connect6", 0, &returning(0)).unwrap();
    let mapped = |last: [u8; 4]| {
        let mut bytes = [0; 16];
        bytes[10..12].copy_from_slice(&[0xff; 2]);
        bytes[12..].copy_from_slice(&last);
        bytes
    };
    let socket = Socket {
        remote: Endpoint {
            address: mapped([192, 168, 7, 9]),
            port: 443,
        },
        local: Endpoint::default(),
        ..v6()
    };
    let decision = stack.connect(&socket, &nobody());
    assert_eq!(decision.action, Action::Permit);
    let to = decision.redirect.unwrap();
    assert_eq!((to.address, to.port), (mapped([127, 0, 0, 1]), 8080));
    assert_eq!(stack.connect(&v6(), &nobody()).action, Action::Block);
}

#[test]
fn helpers_tell_who_does_a_socket_operation() {
    let stack = Stack::new();
    let network = abi::context::structures::NetworkContext {
        version: 1,
        interface_type: 6,
        tunnel_type: 0,
        next_hop_interface_luid: 7,
        sub_interface_index: 9,
        ..Default::default()
    };
    let redirect = RedirectContext::default();
    let caller = Caller {
        process_id: 4321,
        logon_id: 0x1_2345_6789,
        is_admin: 1,
        socket_cookie: 0xfeed_0000_0001,
        flow_id: 0,
        network: Some(network),
        redirect: Some(&redirect),
    };
    let context = "r1 = r6\n";
    for (arguments, helper, result) in [
        ("", 19, (4321 << 32) | 22),
        (context, 20, 0x1_2345_6789),
        (context, 21, 1),
        (context, 26, 0xfeed_0000_0001),
    ] {
        let text = keep_result(arguments, helper, 1);
        let link = stack
            .attach("cgroup/connect_authorization4", 0, &text)
            .unwrap();
        let section = "cgroup/connect_authorization4";
        stack.authorize(section, &v4(Family::V4), &caller);
        assert_eq!(first_word(&stack.take_note()), result, "helper {helper}");
        // Without a token and a socket.
        let unknown = Caller {
            is_admin: -1,
            ..Caller::default()
        };
        stack.authorize(section, &v4(Family::V4), &unknown);
        let empty = match helper {
            19 => 22,
            21 => u64::from(u32::MAX),
            _ => 0,
        };
        assert_eq!(first_word(&stack.take_note()), empty, "helper {helper}");
        stack.detach(&link);
    }
    let room = "r1 = r6\nr2 = r10\nr2 += -64\n";
    let get = keep_result(&format!("{room}r3 = 32\n"), 65538, 1);
    stack.attach("cgroup/listen4", 0, &get).unwrap();
    stack.authorize("cgroup/listen4", &v4(Family::V4), &caller);
    assert_eq!(first_word(&stack.take_note()), 0);
    stack.authorize("cgroup/listen4", &v4(Family::V4), &nobody());
    assert_eq!(first_word(&stack.take_note()), u64::MAX, "nothing is known");
    let narrow = keep_result(&format!("{room}r3 = 31\n"), 65538, 1);
    stack.attach("cgroup/listen6", 0, &narrow).unwrap();
    stack.authorize("cgroup/listen6", &v6(), &caller);
    assert_eq!(first_word(&stack.take_note()), u64::MAX, "it does not fit");
}

#[test]
fn a_program_leaves_a_context_for_the_target_of_a_redirection() {
    let stack = Stack::new();
    let set = "*(u64 *)(r10 - 16) = 0x11223344\nr1 = r6\nr2 = r10\nr2 += -16\nr3 = 8\n";
    stack
        .attach("cgroup/connect4", 0, &keep_result(set, 65537, 1))
        .unwrap();
    let redirect = RedirectContext::default();
    assert!(redirect.is_empty());
    let caller = Caller {
        redirect: Some(&redirect),
        ..nobody()
    };
    stack.connect(&v4(Family::V4), &caller);
    assert_eq!(first_word(&stack.take_note()), 0);
    let mut buffer = [0; hooks::REDIRECT_CONTEXT_BYTES];
    assert_eq!(redirect.take(&mut buffer), 0x1122_3344u64.to_le_bytes());
    stack.connect(&v4(Family::V4), &nobody());
    assert_eq!(
        first_word(&stack.take_note()),
        u64::MAX,
        "there is no room elsewhere"
    );
}

#[test]
fn the_start_of_a_frame_stays_where_it_is() {
    let stack = Stack::new();
    let text = keep_result("r1 = r6\nr2 = -14\n", 65536, 1);
    stack.attach("xdp", 0, &text).unwrap();
    assert_eq!(stack.frame(&mut [0; 60], 1), Action::Permit);
    assert_eq!(first_word(&stack.take_note()), u64::MAX);
}

fn binding(operation: Operation) -> Bind<'static> {
    Bind {
        // `\d\a.exe` in UTF-16.
        app_id: b"\\\0d\0\\\0a\0.\0e\0x\0e\0",
        process_id: 77,
        family: Family::V4,
        local: Endpoint::v4([10, 1, 2, 3], 0x3bbf),
        protocol: 17,
        operation,
    }
}

#[test]
fn a_program_sees_who_binds_to_what() {
    let stack = Stack::new();
    let keep = keep_context(48, &[0, 4, 8, 12, 40])
        + "r1 = *(u8 *)(r6 + 48)\n*(u8 *)(r0 + 48) = r1\n\
           r2 = *(u64 *)(r6 + 0)\nr3 = *(u64 *)(r6 + 8)\nr4 = r2\nr4 += 10\n\
           if r4 > r3 goto +2\nr1 = *(u64 *)(r2 + 0)\n*(u64 *)(r0 + 0) = r1\n\
           r3 -= r2\n*(u64 *)(r0 + 8) = r3\nr0 = 0\nexit";
    stack.attach("bind", 0, &keep).unwrap();
    let mut run = stack.core.enter();
    let action = bind::classify(&mut run, stack.point("bind"), &binding(Operation::Bind));
    assert_eq!(action, Action::Permit);
    let note = stack.take_note();
    assert_eq!(&note[..8], b"a\0.\0e\0x\0", "behind the last backslash");
    assert_eq!(word(&note, 8), 10);
    assert_eq!(word(&note, 16), 77);
    // `SOCKADDR_IN` with numbers of this machine.
    assert_eq!(note[24..32], [2, 0, 0xbf, 0x3b, 3, 2, 1, 10]);
    assert_eq!((word(&note, 44), note[48]), (0, 17));
    let _ = bind::classify(&mut run, stack.point("bind"), &binding(Operation::Unbind));
    assert_eq!(word(&stack.take_note(), 44), 2);
}

#[test]
fn a_socket_may_be_refused_an_address_but_may_always_give_it_up() {
    for (result, action) in [
        (0, Action::Permit),
        (1, Action::Block),
        (2, Action::Permit),
        (3, Action::PermitHard),
    ] {
        let stack = Stack::new();
        stack.attach("bind", 0, &returning(result)).unwrap();
        let classify = |operation| {
            let mut run = stack.core.enter();
            bind::classify(&mut run, stack.point("bind"), &binding(operation))
        };
        assert_eq!(classify(Operation::Bind), action);
        assert_eq!(classify(Operation::Unbind), Action::Permit);
    }
    // Paths that are odd in every sense.
    let stack = Stack::new();
    stack.attach("bind", 0, &returning(1)).unwrap();
    for app_id in [&b""[..], b"a", b"\\\0", b"a\0b", b"\\\0\\\0x"] {
        let odd = Bind {
            app_id,
            ..binding(Operation::Bind)
        };
        let mut run = stack.core.enter();
        let action = bind::classify(&mut run, stack.point("bind"), &odd);
        assert_eq!(action, Action::Block, "{app_id:?}");
    }
}

#[test]
fn programs_learn_of_flows_and_their_end() {
    let stack = Stack::new();
    let keep =
        keep_context(64, &[48]) + "r1 = *(u8 *)(r6 + 48)\n*(u8 *)(r0 + 48) = r1\nr0 = 0\nexit";
    let link = stack.attach("sockops", 0, &keep).unwrap();
    let point = stack.point("sockops");
    let flow = Flow::new(&v6(), Origin::There, 5, 0xabcd);
    let mut run = stack.core.enter();
    assert_eq!(flow::established(&mut run, point, &flow), Action::Permit);
    let note = stack.take_note();
    assert_eq!((word(&note, 0), word(&note, 4)), (1, 23));
    assert_eq!(note[8..24], v6().local.address);
    assert_eq!(note[24..28], [0xc3, 0x50, 0, 0]);
    assert_eq!(note[28..44], v6().remote.address);
    assert_eq!(note[44..48], [1, 0xbb, 0, 0]);
    assert_eq!((note[48], word(&note, 52)), (6, 3));
    flow::deleted(&mut run, point, &flow);
    assert_eq!(word(&stack.take_note(), 0), 2);
    let here = Flow::new(&v6(), Origin::Here, 5, 0xabcd);
    let _ = flow::established(&mut run, point, &here);
    assert_eq!(word(&stack.take_note(), 0), 0);
    drop(run);
    stack.detach(&link);
    let id = keep_result("r1 = r6\n", 65536, 1);
    let link = stack.attach("sockops", 3, &id).unwrap();
    let refused = flow::established(&mut stack.core.enter(), point, &flow);
    assert_eq!(
        (refused, first_word(&stack.take_note())),
        (Action::Block, 0xabcd)
    );
    stack.detach(&link);
    stack.attach("sockops", 3, &keep_result("", 19, 0)).unwrap();
    let _ = flow::established(&mut stack.core.enter(), point, &flow);
    assert_eq!(first_word(&stack.take_note()), (5 << 32) | 22);
}

#[test]
fn every_helper_of_these_program_types_has_a_function() {
    for row in &TABLE {
        let program_type = row.attach.program_type;
        for helper in program_type.helpers {
            let own = HookHelpers.helper(program_type, helper);
            assert!(own.is_some(), "{}: {}", program_type.name, helper.name);
        }
    }
}
