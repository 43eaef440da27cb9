//! How the cost of a proof grows with the size of the program.
//!
//! Each family of generated programs is verified at sizes from a thousand to a million instruction
//! slots, one run each. The report is a table and a picture (`target/scaling.svg`, both axes
//! logarithmic): a line that rises like the diagonal is linear. The peak memory is that of the whole
//! process with the program in it. The budgets of steps and of memory are lifted, so
//! that a family that needs too many shows as a line that is too steep and not as a refusal. A family
//! ends at the first size that takes too long or is refused (drawn as a ring).

mod family;
mod plot;

use crate::harness::Bench;
use crate::process;
use abi::{Platform, program_type};
use plot::{Line, Point};
use program::{Object, ProgramId, RawProgram};
use std::path::Path;
use std::time::{Duration, Instant};

const SIZES: [usize; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

/// Short runs are repeated until this has passed; the fastest counts.
const ENOUGH: Duration = Duration::from_millis(50);

/// Memory of a proof.
const MEMORY: usize = 8 << 30;

/// What takes longer ends its family.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn register(bench: &mut Bench) {
    bench.report("scaling", || {
        let lines: Vec<Line> = family::ALL.iter().map(measure).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/scaling.svg");
        match std::fs::write(&path, plot::svg(&lines)) {
            Ok(()) => println!("scaling: plotted in {}", path.display()),
            Err(error) => eprintln!("scaling: {}: {error}", path.display()),
        }
    });
}

fn measure(family: &family::Family) -> Line {
    let mut points = Vec::new();
    for size in SIZES {
        let Some(object) = object(&(family.program)(size)) else {
            eprintln!("scaling/{}: no program of {size} slots", family.name);
            break;
        };
        let slots = object
            .programs
            .first()
            .map_or(0, |program| program.insns.len());
        process::forget_peak();
        let (time, result) = verify(&object);
        let peak = process::peak_memory().map_or(String::new(), |bytes| {
            format!("{:>7.1} MB", bytes as f64 / 1e6)
        });
        let millis = time.as_secs_f64() * 1e3;
        let text = match &result {
            Ok(steps) => format!("{steps} steps"),
            Err(reason) => reason.clone(),
        };
        let name = family.name;
        println!("scaling/{name:<20} {slots:>8} slots {millis:>10.2} ms {peak}  {text}");
        points.push(Point {
            slots: slots as f64,
            millis,
            accepted: result.is_ok(),
        });
        if time > PATIENCE || result.is_err() {
            break;
        }
    }
    Line {
        name: family.name,
        points,
    }
}

/// The time of the fastest run, and its steps or why there is no proof.
fn verify(object: &Object) -> (Duration, Result<u64, String>) {
    let options = verifier::Options {
        steps: verifier::limits::STEPS_MOST,
        memory: MEMORY,
        ..verifier::Options::default()
    };
    let begin = Instant::now();
    let mut fastest = Duration::MAX;
    loop {
        let start = Instant::now();
        let verdict = verifier::verify(object, ProgramId(0), &options);
        fastest = fastest.min(start.elapsed());
        if begin.elapsed() >= ENOUGH {
            let result = match verdict {
                Ok(verified) => Ok(verified.facts().steps),
                Err(rejected) => Err(format!("refused with {}", rejected.code())),
            };
            return (fastest, result);
        }
    }
}

fn object(text: &str) -> Option<Object> {
    let insns = isa::asm::assemble(text).ok()?;
    let bytes = isa::encode::program(&insns).ok()?;
    program::from_bytecode(RawProgram {
        name: "generated",
        platform: Platform::Linux,
        program_type: program_type::by_name(Platform::Linux, "socket_filter")?,
        bytes: &bytes,
        maps: Vec::new(),
    })
    .ok()
}
