//! What is done under Wine, and what must come of it.

use super::build::Built;
use super::process::{Outcome, Wine, windows_path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest time for one command of the service manager.
pub(super) const COMMAND: Duration = Duration::from_secs(90);

/// A run, with what went wrong so far.
pub(super) struct Run<'a> {
    pub(super) wine: &'a Wine,
    pub(super) built: &'a Built,
    failures: u32,
}

/// A capture of which droppacket drops nothing.
const NORMAL: &str = "examples/inputs/globals.pcap";
/// Frames per second, and empty datagrams behind each normal frame.
const RATE: &str = "200000";
const FLOOD: &str = "20";

/// What became of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) dropped: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(wine: &'a Wine, built: &'a Built) -> Run<'a> {
        Run {
            wine,
            built,
            failures: 0,
        }
    }

    /// Whether nothing went wrong.
    pub(super) fn is_good(&self) -> bool {
        self.failures == 0
    }
}

pub(super) fn run(wine: &Wine, built: &Built, cycles: u32) -> Result<bool, String> {
    let mut run = Run::new(wine, built);
    wine.server("-p")?;
    for name in ["testkernel", "ebpfcore", "droppacket", "sample", "multiply"] {
        run.service(name)?;
    }
    run.started("testkernel")?;
    run.everything_passes()?;
    run.runtime_is_missed()?;
    run.started("ebpfcore")?;
    run.everything_passes()?;
    run.started("droppacket")?;
    run.flood_is_dropped()?;
    run.stopped("droppacket")?;
    run.everything_passes()?;
    run.come_and_go(cycles)?;
    run.everything_passes()?;
    run.settings_are_read()?;
    run.device_is_used()?;
    run.sockets_are_decided()?;
    run.ebpfctl_is_used()?;
    run.failures_leave_nothing()?;
    run.extension_comes_and_goes()?;
    run.c_programs_run()?;
    run.netsh_is_used()?;
    run.sessions_go_as_written()?;
    run.stopped("ebpfcore")?;
    run.everything_passes()?;
    run.report_is("nothing is left", "")?;
    run.stopped("testkernel")?;
    println!("wine: {} failures", run.failures);
    Ok(run.failures == 0)
}

/// Only one part, with the runtime there.
pub(super) fn only<'a>(
    wine: &'a Wine,
    built: &'a Built,
    part: impl FnOnce(&mut Run<'a>) -> Result<(), String>,
) -> Result<bool, String> {
    let mut run = Run::new(wine, built);
    wine.server("-p")?;
    for name in ["testkernel", "ebpfcore"] {
        run.service(name)?;
    }
    run.started("testkernel")?;
    run.started("ebpfcore")?;
    part(&mut run)?;
    run.stopped("ebpfcore")?;
    run.report_is("nothing is left", "")?;
    run.stopped("testkernel")?;
    println!("wine: {} failures", run.failures);
    Ok(run.failures == 0)
}

/// Numbers of `name N passed M dropped` in the output of the test program.
fn counts(output: &str, name: &str) -> Option<Counts> {
    let line = output.lines().find(|line| line.starts_with(name))?;
    let words: Vec<&str> = line.split(' ').collect();
    let [_, passed, "passed", dropped, "dropped"] = words[..] else {
        return None;
    };
    Some(Counts {
        passed: passed.parse().ok()?,
        dropped: dropped.parse().ok()?,
    })
}

/// The number in the one entry of a map, little-endian hexadecimal digits.
fn number(dump: &str) -> Option<u64> {
    let (_, digits) = dump.trim().split_once(' ')?;
    u64::from_str_radix(digits, 16).ok().map(u64::swap_bytes)
}

impl Run<'_> {
    /// Makes a driver a service, in the process that all drivers share.
    pub(super) fn service(&mut self, name: &str) -> Result<(), String> {
        let path = windows_path(&self.built.folder.join(format!("{name}.sys")));
        // A prefix that was used before has it.
        self.wine.run(&["sc", "delete", name], COMMAND)?;
        let create = [
            "sc", "create", name, "type=", "kernel", "start=", "demand", "group=", "test",
        ];
        let arguments = [&create[..], &["binPath=", &path]].concat();
        let outcome = self.wine.run(&arguments, COMMAND)?;
        self.check(&format!("sc create {name}"), &outcome);
        Ok(())
    }

    pub(super) fn started(&mut self, name: &str) -> Result<(), String> {
        let outcome = self.wine.run(&["sc", "start", name], COMMAND)?;
        self.check(&format!("sc start {name}"), &outcome);
        Ok(())
    }

    pub(super) fn stopped(&mut self, name: &str) -> Result<(), String> {
        let outcome = self.wine.run(&["sc", "stop", name], COMMAND)?;
        self.check(&format!("sc stop {name}"), &outcome);
        Ok(())
    }

    /// Brings frames for some seconds: what became of the flood and of the others.
    pub(super) fn traffic(&self, wine: &Wine, seconds: &str) -> Result<(Counts, Counts), String> {
        let program = windows_path(&self.built.folder.join("testkernel.exe"));
        let capture = windows_path(&self.built.root.join(NORMAL));
        let arguments = [&program, "traffic", &capture, seconds, RATE, FLOOD];
        let outcome = wine.run(&arguments, COMMAND)?;
        let read = |name| counts(&outcome.output, name);
        let both = read("flood").zip(read("others"));
        both.ok_or_else(|| format!("traffic: {}", outcome.output))
    }

    pub(super) fn everything_passes(&mut self) -> Result<(), String> {
        let (flood, others) = self.traffic(self.wine, "1")?;
        if flood.dropped + others.dropped != 0 || flood.passed == 0 {
            self.fail(&format!("not everything passes: {flood:?} {others:?}"));
        }
        Ok(())
    }

    /// The program drops the flood, and nothing else, and counts it.
    pub(super) fn flood_is_dropped(&mut self) -> Result<(), String> {
        let (flood, others) = self.traffic(self.wine, "2")?;
        if flood.passed + others.dropped != 0 || flood.dropped == 0 {
            self.fail(&format!("the flood is not dropped: {flood:?} {others:?}"));
        }
        let dump = self.ask(&["ebpf", "map", "dropcnt_map"])?;
        if number(&dump.output) != Some(flood.dropped) {
            self.fail(&format!(
                "{} are dropped, the map says {}",
                flood.dropped, dump.output
            ));
        }
        println!(
            "wine: {} frames dropped and counted, {} passed",
            flood.dropped, others.passed
        );
        Ok(())
    }

    /// Loads and unloads the program while frames come: none of the normal ones is lost.
    fn come_and_go(&mut self, cycles: u32) -> Result<(), String> {
        let beside = self.wine.beside();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (run, beside, is_over) = (
                Run {
                    failures: 0,
                    ..*self
                },
                &beside,
                &is_over,
            );
            let traffic = scope.spawn(move || {
                let mut sum = Counts::default();
                while !is_over.load(Ordering::Relaxed) {
                    let (_, others) = run.traffic(beside, "1")?;
                    sum.passed += others.passed;
                    sum.dropped += others.dropped;
                }
                Ok::<Counts, String>(sum)
            });
            let cycle = |_| {
                self.started("droppacket")
                    .and_then(|()| self.stopped("droppacket"))
            };
            let cycled: Result<(), String> = (0..cycles).try_for_each(cycle);
            is_over.store(true, Ordering::Relaxed);
            let ended = traffic.join().map_err(|_| "the traffic ended badly")?;
            let others = ended?;
            if others.dropped != 0 || others.passed == 0 {
                self.fail(&format!("normal frames are lost: {others:?}"));
            }
            println!(
                "wine: {cycles} times loaded and unloaded, {} frames passed",
                others.passed
            );
            cycled
        })
    }

    /// Asks the stand-ins.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Outcome, String> {
        let program = windows_path(&self.built.folder.join("testkernel.exe"));
        self.wine
            .run(&[&[program.as_str()], arguments].concat(), COMMAND)
    }

    pub(super) fn report_is(&mut self, what: &str, expected: &str) -> Result<(), String> {
        let report = self.ask(&["report"])?;
        if !report.is_success || report.output != expected {
            self.fail(&format!("{what}: the stand-ins report\n{}", report.output));
        }
        Ok(())
    }

    pub(super) fn check(&mut self, what: &str, outcome: &Outcome) {
        if !outcome.is_success {
            self.fail(&format!("{what}: {}", outcome.output.trim()));
        }
    }

    pub(super) fn fail(&mut self, text: &str) {
        self.failures += 1;
        println!("FAILED: {text}");
    }
}
