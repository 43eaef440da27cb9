//! Programs of the corpus that load from the packet in the old way, on both engines: results, packets
//! and maps must be equal.
//!
//! Where the corpus is missing the test says so.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use ebpfcore::native::{self, Problem};
use ebpfcore_sim::{Dump, Engine, Error, Host, Input, Invocation, Options};
use isa::Insn;
use program::{Object, Program, ProgramId, Unlinkable};
use std::collections::BTreeSet;

/// How many of them the corpus has, and how many of those call no helper that needs a network stack.
const PROGRAMS: [usize; 2] = [11, 8];

/// Frames that the programs take apart: IPv4 with TCP, UDP and ICMP, IPv6 with TCP, a VLAN tag, MPLS,
/// GRE; each whole and cut short at every length.
fn frames() -> Vec<Vec<u8>> {
    let ethernet = |ether_type: u16, rest: &[u8]| {
        let mut frame = vec![0x11; 12];
        frame.extend(ether_type.to_be_bytes());
        frame.extend(rest);
        frame
    };
    let body: Vec<u8> = (1..=40).collect();
    let ipv4 = |protocol: u8| {
        let mut packet = vec![0x45, 0x10, 0, 60, 0, 1, 0, 0, 64, protocol, 0x12, 0x34];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(&body);
        packet
    };
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 40, 6, 64];
    ipv6.extend((0..32).map(|at| at * 7));
    ipv6.extend(&body);
    let tagged = |inner: u16, rest: &[u8]| [&[0, 5][..], &inner.to_be_bytes(), rest].concat();
    let labelled = [&[0, 1, 0x01, 64][..], &ipv4(17)].concat();
    let tunnelled = [&ipv4(47)[..20], &[0, 0, 8, 0], &ipv4(6)].concat();
    let whole = [
        ethernet(0x0800, &ipv4(6)),
        ethernet(0x0800, &ipv4(17)),
        ethernet(0x0800, &ipv4(1)),
        ethernet(0x86dd, &ipv6),
        ethernet(0x8100, &tagged(0x0800, &ipv4(6))),
        ethernet(0x8847, &labelled),
        ethernet(0x0800, &tunnelled),
    ];
    let cuts = |frame: &Vec<u8>| (0..=frame.len()).map(|len| frame[..len].to_vec()).collect();
    whole.iter().flat_map::<Vec<_>, _>(cuts).collect()
}

fn loads_packets(program: &Program) -> bool {
    let mut insns = program.insns.iter();
    insns.any(|insn| matches!(insn, Insn::LoadPacket { .. }))
}

/// What a run leaves: results, contexts, packets, maps.
type Left = (Vec<Invocation>, Vec<Dump>);

/// A host for the programs of interest, without the others of the object; nothing when a helper has
/// no implementation here.
fn host(object: &Object) -> Option<Host> {
    let verify = |index: usize| {
        let id = ProgramId(u16::try_from(index).unwrap());
        verifier::verify(object, id, &verifier::Options::default()).unwrap()
    };
    let wanted = (0..object.programs.len()).filter(|index| loads_packets(&object.programs[*index]));
    let programs: Vec<_> = wanted.map(verify).collect();
    let module = codegen::compile(&programs, &codegen::Options::default()).unwrap();
    let image = image::link_for_host(&module).unwrap();
    let mut host = match Host::from_image_of(image.bytes(), object, &Options::default()) {
        Ok(host) => host,
        Err(Error::Module(native::Error {
            problem: Problem::NoHelper { .. },
            ..
        })) => return None,
        Err(other) => panic!("{other}"),
    };
    host.add_bytecode(object, &programs).unwrap();
    Some(host)
}

fn run(object: &Object, name: &str, engine: Engine, inputs: &[Input]) -> Option<Left> {
    let mut host = host(object)?;
    let done = host.run(name, engine, inputs).unwrap();
    let dumps = object.maps.iter().map(|map| host.dump(&map.name).unwrap());
    Some((done, dumps.collect()))
}

#[test]
fn programs_with_legacy_packet_loads_do_the_same_on_both_engines() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let inputs: Vec<Input> = frames().iter().map(|frame| Input::packet(frame)).collect();
    let files: BTreeSet<String> = corpus::rows(&folder)
        .into_iter()
        .map(|row| row.file)
        .collect();
    let [mut found, mut compared] = [0, 0];
    for file in files {
        let Ok(object) = corpus::load(&folder, &file, Unlinkable::LeaveOut) else {
            continue;
        };
        for program in object
            .programs
            .iter()
            .filter(|program| loads_packets(program))
        {
            found += 1;
            let [native, interpreted] = [Engine::Native, Engine::Interpreter]
                .map(|engine| run(&object, &program.name, engine, &inputs));
            assert!(native == interpreted, "{file}, {}", program.name);
            compared += usize::from(native.is_some());
        }
    }
    assert_eq!([found, compared], PROGRAMS);
}
