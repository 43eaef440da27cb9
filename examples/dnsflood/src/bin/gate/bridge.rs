//! Moves frames between a packet socket and a TAP device, past the programs of drivers.

use clap::Parser;
use ebpfcore_sim::Action;
use ebpfcore_sim::interface::Interface;
use smoltcp::phy::{Device, Medium, RawSocket, RxToken as _, TunTapInterface, TxToken as _};
use smoltcp::time::Instant;
use std::fmt;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// Puts drivers on the way of an interface's frames (Linux, needs CAP_NET_ADMIN and CAP_NET_RAW).
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Interface that frames come in on
    #[arg(long)]
    outside: String,
    /// TAP device that they go on to
    #[arg(long)]
    inside: String,
    /// Number of the interface, as programs see it
    #[arg(long, default_value_t = 1)]
    index: u32,
}

/// Frames that are moved in one direction before the other one gets its turn.
const BATCH: usize = 64;
/// How long to wait when there is nothing to do.
const IDLE: Duration = Duration::from_micros(50);

/// What became of the frames that came in.
#[derive(Default)]
struct Counts {
    passed: u64,
    dropped: u64,
    returned: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            passed,
            dropped,
            returned,
        } = self;
        write!(f, "passed {passed} dropped {dropped} returned {returned}")
    }
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let fail = |name: &str| {
        let name = name.to_owned();
        move |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => format!("{name}: {error}; run as root"),
            _ => format!("{name}: {error}"),
        }
    };
    let mut outside =
        RawSocket::new(&args.outside, Medium::Ethernet).map_err(fail(&args.outside))?;
    let mut inside =
        TunTapInterface::new(&args.inside, Medium::Ethernet).map_err(fail(&args.inside))?;
    let mut interface = Interface::new(args.index).map_err(|error| error.to_string())?;
    let mut counts = Counts::default();
    let commands = commands();
    answer("ready");
    loop {
        match commands.try_recv() {
            Ok(line) => answer(&execute(&mut interface, &line, &counts)),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        let came = forward(&mut outside, &mut inside, |frame| {
            admit(&interface, frame, &mut counts)
        });
        let went = forward(&mut inside, &mut outside, |_| Way::On);
        if came + went == 0 {
            thread::sleep(IDLE);
        }
    }
}

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    On,
    Back,
    Nowhere,
}

fn admit(interface: &Interface, frame: &mut [u8], counts: &mut Counts) -> Way {
    match interface.decide(frame) {
        Action::Permit | Action::PermitHard => {
            counts.passed += 1;
            Way::On
        }
        Action::Transmit => {
            counts.returned += 1;
            Way::Back
        }
        Action::Absorb | Action::Block => {
            counts.dropped += 1;
            Way::Nowhere
        }
    }
}

/// Moves up to a batch of frames; returns how many there were.
fn forward<F: Device, T: Device>(
    from: &mut F,
    to: &mut T,
    mut decide: impl FnMut(&mut [u8]) -> Way,
) -> usize {
    for number in 0..BATCH {
        let Some((received, back)) = from.receive(Instant::ZERO) else {
            return number;
        };
        let mut frame = received.consume(<[u8]>::to_vec);
        match decide(&mut frame) {
            Way::Nowhere => {}
            Way::Back => back.consume(frame.len(), |bytes| bytes.copy_from_slice(&frame)),
            Way::On => {
                drop(back);
                if let Some(on) = to.transmit(Instant::ZERO) {
                    on.consume(frame.len(), |bytes| bytes.copy_from_slice(&frame));
                }
            }
        }
    }
    BATCH
}

/// Lines of standard input, read beside the frames.
fn commands() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Does what a line says; returns the answer.
fn execute(interface: &mut Interface, line: &str, counts: &Counts) -> String {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    match words[..] {
        ["start", name, path] => match start(interface, name, Path::new(path)) {
            Ok(()) => format!("started {name}, {counts}"),
            Err(error) => format!("error: {error}"),
        },
        ["stop", name] => match interface.stop(name) {
            Ok(()) => format!("stopped {name}, {counts}"),
            Err(error) => format!("error: {error}"),
        },
        _ => format!("error: `{line}`: expected `start NAME FILE.sys` or `stop NAME`"),
    }
}

fn start(interface: &mut Interface, name: &str, path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let started = interface.start(name, &bytes);
    started.map_err(|error| format!("{}: {error}", path.display()))
}

fn answer(text: &str) {
    // Nobody may listen any more; the end of standard input says so.
    let _ = writeln!(io::stdout(), "{text}");
}
