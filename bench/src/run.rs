//! Running droppacket on packets: the driver image against the interpreter, on the same inputs.
//!
//! One operation is one packet, tiled in memory; the calling loop and the map lookups are part of it:
//! two for a packet that is dropped, one for a packet that passes.

use crate::harness::Bench;
use ebpfcore_sim::{Engine, Host, Input, Options};
use program::{LoadOptions, ProgramId};

pub(crate) const OBJECT: &[u8] = include_bytes!("../../examples/droppacket.o");
/// Packets per measured pass.
const PACKETS: u64 = 100_000;

pub(crate) fn register(bench: &mut Bench) {
    let inputs = inputs();
    let (dropped, _) = inputs.split_at(1);
    for engine in [Engine::Native, Engine::Interpreter] {
        let Some(mut host) = host(engine) else {
            eprintln!("run/{engine}: not possible on this machine");
            continue;
        };
        for (traffic, inputs) in [("mix", inputs.as_slice()), ("drops", dropped)] {
            let name = format!("run/{engine}, {traffic} (per packet)");
            // Laying the packets out in memory is not part of it.
            bench.measure_timed(&name, PACKETS as usize, || {
                match host.measure("DropPacket", engine, (inputs, PACKETS)) {
                    Ok(measurement) => measurement.elapsed,
                    Err(error) => panic!("{name}: {error}"),
                }
            });
        }
    }
}

/// A fresh instance of the example for an engine.
pub(crate) fn host(engine: Engine) -> Option<Host> {
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

/// IPv4 UDP frames to port 53, one without data (dropped) and one with, and a TCP frame.
fn inputs() -> Vec<Input> {
    [(17, 8), (17, 40), (6, 40)]
        .map(|(protocol, udp_len)| Input::packet(&frame(protocol, udp_len)))
        .to_vec()
}

pub(crate) fn frame(protocol: u8, udp_len: u16) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + usize::from(udp_len)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(20 + udp_len).to_be_bytes());
    frame[23] = protocol;
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&udp_len.to_be_bytes());
    frame
}
