//! The whole path of a hook: a frame is classified, its programs run, their verdicts are combined.
//!
//! One operation is one frame that is classified on its own, so that pinning the epoch is part of it.
//! `call/empty` is the same program called as a function, which is what the hook's cost is compared
//! with. What is left out: the network stack above and below.
#![expect(
    unsafe_code,
    reason = "calls machine code and vouches for proved programs"
)]

use crate::{
    harness::Bench,
    run::{frame, host},
};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Code, Link, Program,
    hooks::{self, Action, Frame, Point, frame::classify, table},
    raw::helpers::NativeFn,
};
use ebpfcore_sim::{Engine, Host, Options};
use program::{ProgramId, RawProgram};
use std::hint::black_box;
use std::time::Instant;

/// Frames per measured pass.
const FRAMES: usize = 1000;
/// Frames of each thread where several classify at once, and how often; the best pass counts.
const TOGETHER: usize = 200_000;
const PASSES: usize = 5;

pub(crate) fn register(bench: &mut Bench) {
    // UDP without data is dropped, UDP with data and TCP pass.
    let mix = [(17, 8), (17, 40), (6, 40)].map(|(protocol, size)| frame(protocol, size));
    for engine in [Engine::Native, Engine::Interpreter] {
        if let Some(host) = host(engine) {
            for (traffic, frames) in [("mix", &mix[..]), ("drops", &mix[..1])] {
                let name = format!("hook/droppacket, {engine}, {traffic}");
                through_hook(bench, &name, &host, (engine, frames));
            }
        }
        let Some(host) = empty(engine) else {
            eprintln!("hook/{engine}: not possible on this machine");
            continue;
        };
        let name = format!("hook/empty, {engine}");
        through_hook(bench, &name, &host, (engine, &mix[..1]));
        direct(bench, &host.programs(engine)[0]);
    }
}

fn through_hook(
    bench: &mut Bench,
    name: &str,
    host: &Host,
    (engine, frames): (Engine, &[Vec<u8>]),
) {
    let core = host.core();
    let hooks = hooks::make().unwrap_or_default();
    let row = &table::TABLE[0];
    // SAFETY: the programs are proved, and the host keeps their image mapped.
    let Some(point) = (unsafe { Point::find(&hooks, row) }) else {
        return;
    };
    let program = host.programs(engine)[0].clone();
    let attached =
        Link::new(core, row.attach, &[], program).and_then(|link| point.hook().attach(core, &link));
    if let Err(error) = attached {
        panic!("{name}: {error}");
    }
    let mut frames = frames.to_vec();
    bench.measure(name, FRAMES, || {
        let mut dropped = 0;
        for number in 0..FRAMES {
            let count = frames.len();
            let bytes = &mut frames[number % count];
            let action = classify(&mut core.enter(), point, Frame::of(bytes, 1));
            dropped += u32::from(action == Action::Absorb);
        }
        dropped
    });
}

/// Lookups of all threads together, through the hook, in a second: by the number of threads.
pub(crate) fn lookups_together(host: &Host, most: usize) -> Vec<f64> {
    let core = host.core();
    let hooks = hooks::make().unwrap_or_default();
    let row = &table::TABLE[0];
    // SAFETY: the program is proved, and the host keeps its image mapped.
    let Some(point) = (unsafe { Point::find(&hooks, row) }) else {
        return Vec::new();
    };
    let program = host.programs(Engine::Native)[0].clone();
    let attached =
        Link::new(core, row.attach, &[], program).and_then(|link| point.hook().attach(core, &link));
    if let Err(error) = attached {
        panic!("lookups: {error}");
    }
    let work = || {
        let mut bytes = frame(17, 8);
        for _ in 0..TOGETHER {
            black_box(classify(&mut core.enter(), point, Frame::of(&mut bytes, 1)));
        }
    };
    let pass = |threads: usize| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        (threads * TOGETHER) as f64 / start.elapsed().as_secs_f64()
    };
    let best = |threads| (0..PASSES).map(|_| pass(threads)).fold(0.0, f64::max);
    (1..=most).map(best).collect()
}

/// The same program as a function.
fn direct(bench: &mut Bench, program: &Program) {
    let Code::Native {
        entry,
        runtime_context,
        ..
    } = program.code()
    else {
        return;
    };
    let function = std::ptr::with_exposed_provenance::<()>(*entry as usize);
    // SAFETY: the entry of a mapped module, which has this signature.
    let function: NativeFn = unsafe { std::mem::transmute(function) };
    let mut context = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
    let address = context.as_mut_ptr().expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    bench.measure("call/empty, native engine", FRAMES, || {
        let mut sum = 0;
        for _ in 0..FRAMES {
            // SAFETY: the program does not look at its context.
            sum += unsafe { black_box(function)(black_box(address), *runtime_context, 0) };
        }
        sum
    });
}

/// A program that lets everything pass.
fn empty(engine: Engine) -> Option<Host> {
    let insns = isa::asm::assemble("r0 = 1\nexit").ok()?;
    let raw = RawProgram {
        name: "empty",
        platform: abi::Platform::Windows,
        program_type: &abi::program_type::windows::XDP,
        bytes: &isa::encode::program(&insns).ok()?,
        maps: Vec::new(),
    };
    let object = program::from_bytecode(raw).ok()?;
    let verified = verifier::verify(&object, ProgramId(0), &verifier::Options::default());
    let programs = [verified.ok()?];
    if engine == Engine::Interpreter {
        return Host::from_object(&object, &programs, &Options::default()).ok();
    }
    let module = codegen::compile(&programs, &codegen::Options::default()).ok()?;
    Host::from_image(image::link(&module).ok()?.bytes(), &Options::default()).ok()
}
