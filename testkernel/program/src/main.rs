//! `testkernel.exe`: what test programs ask the stand-ins, from a command line.
//!
//! ```text
//! testkernel report                  what is wrong, what is left, what was said
//! testkernel fail N                  the allocation after N further ones fails
//! testkernel restrict|unrestrict     callers are ordinary users, or administrators again
//! testkernel distrust|trust         drivers that the runtime starts are refused as with a bad
//!                                    signature, or not any more
//! testkernel traffic CAPTURE SECONDS RATE EMPTY
//!                                    brings RATE frames per second: those of the capture, and
//!                                    behind each EMPTY empty datagrams; prints what became of them
//! testkernel flood QUIET SECONDS RATE
//!                                    brings five questions per second to a name server, behind
//!                                    QUIET seconds a flood of empty datagrams too; a line each step
//! testkernel socket OPERATION:PORT ...  events of sockets, what becomes of each, see [`sockets`]
//! testkernel netsh WORDS ...         what is typed behind `netsh ebpf`
//! testkernel sent                    what callouts injected for sending
//! testkernel ebpf STEP + STEP ...    what one application does with the runtime, see [`steps`]
//! ```

mod device;
mod flood;
mod frames;
mod netsh;
mod sockets;
mod steps;

use device::Device;
use std::path::Path;
use std::process::ExitCode;
use testkernel::control::{CONTROL_CODE, Request};
use testkernel::traffic::{Outcome, Traffic};

/// Index of the interface that frames come from.
const INTERFACE: u32 = 7;
/// Longer frames lie in two pieces: some of a capture do, and none of the flood.
const SPLIT: u32 = 48;

/// What Windows says of a driver whose signature it does not accept.
const INVALID_IMAGE_HASH: u32 = 0xc000_0428;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, words)) = arguments.split_first()
        && first == "netsh"
    {
        return netsh::run(words);
    }
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("testkernel: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let request = match words[..] {
        ["report"] => Request::Report,
        ["fail", after] => Request::FailAllocation(number(after)?),
        ["restrict"] => Request::Restrict(true),
        ["unrestrict"] => Request::Restrict(false),
        ["distrust"] => Request::RefuseDrivers(INVALID_IMAGE_HASH),
        ["trust"] => Request::RefuseDrivers(0),
        ["sent"] => Request::Sent,
        ["traffic", capture, seconds, rate, empty] => {
            let numbers = [number(seconds)?, number(rate)?, number(empty)?];
            return traffic(Path::new(capture), numbers);
        }
        ["flood", quiet, seconds, rate] => {
            let numbers = [number(quiet)?, number(seconds)?, number(rate)?];
            return flood::run(numbers).map(|()| String::new());
        }
        ["socket", ref events @ ..] => return sockets::run(events),
        ["ebpf", ref steps @ ..] => return steps::run(steps).map(|()| String::new()),
        _ => return Err("see the beginning of main.rs".to_owned()),
    };
    Ok(String::from_utf8_lossy(&ask(&request)?).into_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn ask(request: &Request) -> Result<Vec<u8>, String> {
    Device::open(r"\\.\TestKernel")?.control(CONTROL_CODE, &request.encode())
}

/// Brings frames to the interface; what became of each.
fn bring(frames: Vec<Vec<u8>>, rate: u64, rounds: u64) -> Result<Outcome, String> {
    let traffic = Traffic {
        interface: INTERFACE,
        split: SPLIT,
        rate,
        rounds,
        threads: 1,
        frames,
    };
    let reply = ask(&Request::Traffic(traffic))?;
    Outcome::read(&reply).ok_or_else(|| "not an outcome".to_owned())
}

/// Brings frames; tells how many of the flood and how many others passed and were dropped.
fn traffic(capture: &Path, [seconds, rate, empty]: [u64; 3]) -> Result<String, String> {
    let normal = frames::capture(capture)?;
    let mut frames = Vec::new();
    for frame in normal {
        frames.push(frame);
        frames.extend((0..empty).map(|port| frames::datagram(port as u16, &[])));
    }
    let rounds = (seconds * rate).div_ceil(frames.len().max(1) as u64);
    let outcome = bring(frames, rate, rounds)?;
    let (mut flood, mut others) = ((0, 0), (0, 0));
    for (at, count) in outcome.counts.iter().enumerate() {
        let is_normal = (at as u64).is_multiple_of(empty + 1);
        let sum = if is_normal { &mut others } else { &mut flood };
        *sum = (sum.0 + count.passed, sum.1 + count.dropped);
    }
    let all = flood.0 + flood.1 + others.0 + others.1;
    let per_second = u128::from(all) * 1_000_000_000 / u128::from(outcome.nanoseconds.max(1));
    Ok(format!(
        "flood {} passed {} dropped\nothers {} passed {} dropped\n{per_second} frames/s\n",
        flood.0, flood.1, others.0, others.1
    ))
}
