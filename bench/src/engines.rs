//! Interpreters beside machine code, over the programs in `bench/programs`.
//!
//! All engines run the same bytecode on the same memory: our compiler's code, called as a function; our
//! interpreter without checks, as for proved programs; the interpreter of the `rbpf` crate, which checks
//! each access. Results and memory must be equal. They take turns, and for each the fastest round counts;
//! what is compared is the geometric mean over all programs. What is left out: the time to load.
#![expect(
    unsafe_code,
    reason = "calls machine code; runs programs without a proof on memory of this bench"
)]

use crate::harness::Bench;
use crate::inputs::{self, WORDS};
use ebpfcore::interpreter::{Callee, Links, translate};
use ebpfcore::raw::helpers::NativeFn;
use ebpfcore::{Code, Machine, RawMemory, Start};
use ebpfcore_sim::conformance::{self, Compiled, PROGRAM_TYPE};
use program::LoadOptions;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds of each engine; the fastest counts.
const ROUNDS: usize = 9;
/// Least duration of a round.
const ROUND: Duration = Duration::from_millis(2);
/// The helper of the programs, which returns 0.
const HELPER: u32 = 2;
/// At most so many times the time of machine code.
const GOAL: f64 = 45.0;

/// Each program and how often it goes round.
macro_rules! programs {
    ($($name:literal $turns:literal)*) => {
        &[$(($name, $turns, include_bytes!(concat!("../programs/", $name, ".o")))),*]
    };
}

#[rustfmt::skip] // as few lines as possible
static PROGRAMS: &[(&str, u32, &[u8])] = programs! {
    "nop" 0 "arith" 512 "prime" 200 "fib" 400 "bytecopy" 256 "memxor" 64 "csum" 256 "crc32" 256
    "fnv1a" 256 "jhash" 16 "switch" 256 "bswap" 64 "divmod64" 32 "divconst" 64 "bitops" 64 "strcmp" 0
    "strstr" 300 "filter" 15 "atomic" 96 "stackhist" 256 "sha256" 0 "calls" 64 "helper" 64
    "binsearch" 31 "xdp_dns" 0
};

pub(crate) fn register(bench: &mut Bench) {
    bench.report("engines (ratios)", || {
        if let Err(problem) = report() {
            eprintln!("engines: {problem}");
        }
    });
}

fn report() -> Result<(), String> {
    println!("program         native      interpreter            rbpf");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (name, turns, object) in PROGRAMS {
        let input = inputs::memory(name, *turns);
        let [native, own, other] =
            times(object, &input, ROUNDS).map_err(|why| format!("{name}: {why}"))?;
        let native = native.ok_or("no machine code on this computer")?;
        let own = own.ok_or("the interpreter refuses it")?;
        ours.push(own / native);
        let text = other.map_or("    refused".into(), |other| {
            theirs.push((other / native, own / native));
            format!("{other:>8.0} ns {:>5.1}x", other / native)
        });
        println!(
            "{name:<10} {native:>8.1} ns {own:>8.0} ns {:>5.1}x {text}",
            own / native
        );
    }
    println!(
        "geometric mean {:>21.1}x (goal {GOAL})",
        mean(ours.iter().copied())
    );
    println!(
        "of the {} programs that rbpf runs: rbpf {:.1}x, ours {:.1}x",
        theirs.len(),
        mean(theirs.iter().map(|ratios| ratios.0)),
        mean(theirs.iter().map(|ratios| ratios.1)),
    );
    Ok(())
}

fn mean(ratios: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = ratios.len().max(1) as f64;
    (ratios.map(f64::ln).sum::<f64>() / count).exp()
}

/// Something that runs a program on a memory.
type Run<'a> = Box<dyn FnMut(&mut [u64; WORDS]) -> u64 + 'a>;

/// Nanoseconds per run: machine code, our interpreter, rbpf; `None` when it cannot run the program.
/// Before the first round all of them must leave the same.
fn times(object: &[u8], input: &[u64; WORDS], rounds: usize) -> Result<[Option<f64>; 3], String> {
    let load = LoadOptions {
        name: "bench".to_owned(),
        program_type: Some(&PROGRAM_TYPE),
        ..LoadOptions::default()
    };
    let object = program::load(object, &load).map_err(|error| error.to_string())?;
    let insns = object
        .programs
        .first()
        .ok_or("no program")?
        .insns
        .as_slice();
    let bytes = isa::encode::program(insns).map_err(|error| format!("{error:?}"))?;
    let compiled = Compiled::new(&object).map_err(|error| error.to_string())?;
    let machine = translate(insns, &Suite).map_err(|error| format!("{error:?}"))?;
    let machine = Machine::new(machine, Vec::new());
    let mut engines = [native(&compiled), Some(interpreter(&machine)), rbpf(&bytes)];
    check(&mut engines, input)?;
    let mut best = engines
        .each_ref()
        .map(|engine| engine.as_ref().map(|_| f64::INFINITY));
    for _ in 0..rounds {
        for (best, engine) in best.iter_mut().zip(&mut engines) {
            if let (Some(best), Some(engine)) = (best, engine) {
                *best = best.min(round(engine, input));
            }
        }
    }
    Ok(best)
}

/// All engines leave the same.
fn check(engines: &mut [Option<Run<'_>>; 3], input: &[u64; WORDS]) -> Result<(), String> {
    let left = engines.iter_mut().flatten().map(|engine| {
        let mut memory = *input;
        (engine(&mut memory), memory)
    });
    let left: Vec<_> = left.collect();
    let same = left.windows(2).all(|pair| pair[0] == pair[1]);
    same.then_some(()).ok_or_else(|| {
        let results: Vec<u64> = left.iter().map(|(result, _)| *result).collect();
        format!("engines disagree: {results:x?}")
    })
}

/// Nanoseconds per run in one round.
fn round(engine: &mut Run<'_>, input: &[u64; WORDS]) -> f64 {
    let mut memory = *input;
    let mut runs = 16u32;
    loop {
        let start = Instant::now();
        for _ in 0..runs {
            black_box(engine(black_box(&mut memory)));
        }
        let time = start.elapsed();
        if time >= ROUND || runs > u32::MAX / 2 {
            return time.as_secs_f64() * 1e9 / f64::from(runs);
        }
        runs *= 2;
    }
}

fn native(compiled: &Compiled) -> Option<Run<'_>> {
    let Code::Native {
        entry,
        runtime_context,
        ..
    } = *compiled.program().code()
    else {
        return None;
    };
    let function = std::ptr::with_exposed_provenance::<()>(entry as usize);
    // SAFETY: the entry of a mapped module, which has this signature.
    let function: NativeFn = unsafe { std::mem::transmute(function) };
    Some(Box::new(move |memory| {
        let address = memory.as_mut_ptr().expose_provenance() as u64;
        // SAFETY: the programs stay within their 4096 bytes.
        unsafe { function(address, runtime_context, (WORDS * 8) as u64) }
    }))
}

fn interpreter(machine: &Machine) -> Run<'_> {
    Box::new(|memory| {
        let start = Start {
            r1: memory.as_mut_ptr().expose_provenance() as u64,
            r2: (WORDS * 8) as u64,
            budget: 1 << 32,
        };
        // SAFETY: the programs stay within their 4096 bytes and their stack.
        let mut all = unsafe { RawMemory::new() };
        // A trap shows as another result.
        machine.run(&mut all, start).unwrap_or(u64::MAX)
    })
}

fn rbpf(bytes: &[u8]) -> Option<Run<'_>> {
    let mut machine = rbpf::EbpfVmRaw::new(Some(bytes)).ok()?;
    machine.register_helper(HELPER, |_, _, _, _, _| 0).ok()?;
    Some(Box::new(move |memory| {
        let start = memory.as_mut_ptr().cast::<u8>();
        // SAFETY: the memory is borrowed during the call, and the machine keeps nothing of it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start, WORDS * 8) };
        machine.execute_program(bytes).unwrap_or(u64::MAX)
    }))
}

/// No maps, and the helpers of the conformance suite.
struct Suite;

impl Links for Suite {
    fn map(&self, _: u32) -> Option<u64> {
        None
    }

    fn map_value(&self, _: u32) -> Option<u64> {
        None
    }

    fn helper(&self, id: i32) -> Option<Callee> {
        conformance::helper(id)
    }

    fn btf_function(&self, _: i32) -> Option<Callee> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn engines_leave_the_same() {
        for (name, turns, object) in PROGRAMS {
            let ran = times(object, &inputs::memory(name, *turns), 0);
            let ran = ran.unwrap_or_else(|why| panic!("{name}: {why}"));
            let [native, own, other] = ran.map(|time| time.is_some());
            assert!(native && own, "{name} does not run");
            assert!(other || *name == "atomic", "rbpf refuses {name}");
        }
    }

    /// Another compiler than the one that made the objects may choose other instructions.
    #[test]
    fn the_objects_are_those_of_the_sources() {
        let version = Command::new("clang-19").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: clang-19 is not installed");
            return;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let built = std::env::temp_dir().join(format!("bench-programs-{}", std::process::id()));
        let status = Command::new(folder.join("build.sh")).arg(&built).status();
        assert!(status.is_ok_and(|status| status.success()));
        for (name, _, object) in PROGRAMS {
            let bytes = std::fs::read(built.join(format!("{name}.o")));
            assert!(bytes.is_ok_and(|bytes| bytes == *object), "{name}");
        }
        assert!(std::fs::remove_dir_all(&built).is_ok());
    }
}
