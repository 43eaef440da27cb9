//! Running droppacket on packets: the driver image against the interpreter, on the same inputs.
//!
//! One operation is one packet of a mix of drops and passes, tiled in memory; the calling loop and
//! two map lookups are part of it.

use crate::harness::Bench;
use ebpfcore_sim::{Engine, Host, Input, Options};
use program::{LoadOptions, ProgramId};

const OBJECT: &[u8] = include_bytes!("../../examples/droppacket.o");
/// Packets per measured pass.
const PACKETS: u64 = 100_000;

pub(crate) fn register(bench: &mut Bench) {
    let inputs = inputs();
    for engine in [Engine::Native, Engine::Interpreter] {
        let name = format!("run/{engine} (per packet)");
        let Some(mut host) = host(engine) else {
            eprintln!("{name}: not possible on this machine");
            continue;
        };
        bench.measure(&name, PACKETS as usize, || {
            let measurement = host.measure("DropPacket", engine, (&inputs, PACKETS));
            measurement.map(|measurement| measurement.invocations)
        });
    }
}

/// A fresh instance of the example for an engine.
fn host(engine: Engine) -> Option<Host> {
    let load = LoadOptions {
        name: "droppacket".to_owned(),
        ..LoadOptions::default()
    };
    let object = program::load(OBJECT, &load).ok()?;
    let verified = verifier::verify(&object, ProgramId(0), &verifier::Options::default());
    let programs = [verified.ok()?];
    if engine == Engine::Interpreter {
        return Host::from_object(&object, &programs, &Options::default()).ok();
    }
    let module = codegen::compile(&programs, &codegen::Options::default()).ok()?;
    Host::from_image(image::link(&module).ok()?.bytes(), &Options::default()).ok()
}

/// IPv4 UDP frames to port 53, one without and one with data, and a TCP frame.
fn inputs() -> Vec<Input> {
    [(17, 8), (17, 40), (6, 40)]
        .map(|(protocol, udp_len)| Input::packet(&frame(protocol, udp_len)))
        .to_vec()
}

fn frame(protocol: u8, udp_len: u16) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + usize::from(udp_len)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(20 + udp_len).to_be_bytes());
    frame[23] = protocol;
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&udp_len.to_be_bytes());
    frame
}
