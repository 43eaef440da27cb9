//! The story of the tutorial, with the commands that it has.
//!
//! A name server's interface gets a flood; a program is compiled, looked at, added, and deleted again,
//! and its unsafe variant is refused. What reaches the server is recorded all the time; program `demo`
//! draws the record and judges it by the rules of the story's other form. What is left out: the netsh of
//! Windows, whose place `testkernel/netsh` takes (Wine's loads no helpers), and the server.

use super::build::{Built, finish};
use super::prefix::write;
use super::process::{Outcome, Wine, windows_path};
use super::scenario::{COMMAND, Run};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Datagrams per second of the flood.
const RATE: &str = "200000";
/// Seconds without a flood, and with one: longer than the story takes on a busy machine.
const QUIET: u64 = 2;
const FLOODED: &str = "120";
/// How long each part of the story is looked at, beside what its command takes.
const PART: Duration = Duration::from_secs(3);
/// The flags that the tutorial has for clang.
const CLANG: &[&str] = &[
    "-target",
    "bpf",
    "-mcpu=v3",
    "-O2",
    "-g",
    "-Wall",
    "-nostdinc",
];

/// A part of the story: when its command was typed, from when to when it is measured.
struct Part {
    name: &'static str,
    typed: Duration,
    from: Duration,
    to: Duration,
}

pub(super) fn run(wine: &Wine, built: &Built, picture: &Path) -> Result<bool, String> {
    let mut run = Run::new(wine, built);
    wine.server("-p")?;
    for name in ["testkernel", "ebpfcore"] {
        run.service(name)?;
    }
    run.started("testkernel")?;
    println!("> sc create EbpfCore type= kernel start= demand binPath= C:\\ebpf\\ebpfcore.sys");
    println!("> sc start EbpfCore");
    run.started("ebpfcore")?;
    println!("> netsh add helper %windir%\\system32\\ebpfnetsh.dll");
    run.helper_is_added()?;
    for name in ["droppacket", "droppacket_unsafe"] {
        compile(built, name)?;
    }
    let shown = run.typed("show disassembly droppacket.o xdp")?;
    run.says(&shown, "bpf_map_lookup_elem");
    let shown = run.typed("show verification droppacket.o xdp")?;
    run.says(&shown, "Verification succeeded");
    let record = run.flood()?;
    for command in ["show verification", "add program"] {
        let refused = run.typed(&format!("{command} droppacket_unsafe.o xdp"))?;
        run.refuses(&refused, "BN0218");
    }
    let shown = run.typed("show programs")?;
    run.lacks(&shown, "DropPacket");
    run.stopped("ebpfcore")?;
    run.report_is("nothing is left", "")?;
    run.stopped("testkernel")?;
    let file = built.folder.join("dnsflood.record");
    write(&file, record.as_bytes())?;
    draw(built, &file, picture)?;
    Ok(run.is_good())
}

/// Compiles an example as the tutorial does.
fn compile(built: &Built, name: &str) -> Result<(), String> {
    let clang = std::env::var("BPF_CLANG").unwrap_or_else(|_| "clang-19".to_owned());
    let object = built.folder.join(format!("{name}.o"));
    let source = format!("examples/{name}.c");
    if Command::new(&clang).arg("--version").output().is_err() {
        println!("no {clang}: the committed {name}.o is taken");
        let committed = built.root.join(format!("examples/{name}.o"));
        let copied = std::fs::copy(committed, &object);
        return copied.map(|_| ()).map_err(|error| error.to_string());
    }
    println!(
        "> clang {} -I include -c {source} -o {name}.o",
        CLANG.join(" ")
    );
    let mut command = Command::new(clang);
    command
        .args(CLANG)
        .args(["-I", "include", "-c", &source, "-o"])
        .arg(object)
        .current_dir(&built.root);
    finish(&mut command, name)
}

/// Draws the story, says what it showed, and judges it.
fn draw(built: &Built, record: &Path, picture: &Path) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command
        .args([
            "run",
            "--quiet",
            "--package",
            "dnsflood",
            "--bin",
            "demo",
            "--",
        ])
        .arg("--draw")
        .arg(record)
        .arg("--picture")
        .arg(picture)
        .current_dir(&built.root);
    finish(&mut command, "demo")
}

impl Run<'_> {
    /// Types a command behind `netsh ebpf`, and shows both.
    fn typed(&mut self, command: &str) -> Result<Outcome, String> {
        let words: Vec<&str> = ["ebpf"].into_iter().chain(command.split(' ')).collect();
        let outcome = self.netsh(&words, &[])?;
        println!("> netsh ebpf {command}\n{}", outcome.output.trim_end());
        Ok(outcome)
    }

    fn lacks(&mut self, outcome: &Outcome, words: &str) {
        if !outcome.is_success || outcome.output.contains(words) {
            self.fail(&format!("{words:?} is there: {}", outcome.output));
        }
    }

    /// The flood, while the program is added and deleted; the record of it.
    fn flood(&mut self) -> Result<String, String> {
        let program = windows_path(&self.built.folder.join("testkernel.exe"));
        let beside = self.wine.beside();
        let quiet = QUIET.to_string();
        let mut flood = beside.start(&[&program, "flood", &quiet, FLOODED, RATE])?;
        let first = flood.wait_until(|output| output.contains('\n'), COMMAND)?;
        let begun = first.split(' ').next().and_then(|at| at.parse().ok());
        let start = Instant::now() - Duration::from_millis(begun.unwrap_or(0));
        let quiet = Duration::from_secs(QUIET);
        sleep(quiet.saturating_sub(start.elapsed()));
        let mut parts = vec![Part {
            name: "quiet",
            typed: Duration::ZERO,
            from: Duration::ZERO,
            to: start.elapsed(),
        }];
        parts.push(part("flood", start, start.elapsed()));
        let typed = start.elapsed();
        let added = self.typed("add program droppacket.o xdp")?;
        let id = added.output.trim().strip_prefix("Loaded with ID ");
        let id = id.ok_or("the program was not added")?.to_owned();
        parts.push(part("program added", start, typed));
        let shown = self.typed("show programs")?;
        self.says(&shown, "DropPacket");
        let typed = start.elapsed();
        self.typed(&format!("delete program {id}"))?;
        parts.push(part("program deleted", start, typed));
        let said = flood.wait_until(|_| true, COMMAND)?;
        flood.kill()?;
        Ok(record(&parts, &said))
    }
}

/// A part that goes on for a while from now.
fn part(name: &'static str, start: Instant, typed: Duration) -> Part {
    let from = start.elapsed();
    sleep(PART);
    Part {
        name,
        typed,
        from,
        to: start.elapsed(),
    }
}

/// What program `demo` reads.
fn record(parts: &[Part], said: &str) -> String {
    let mut text = String::new();
    for part in parts {
        let times = [part.typed, part.from, part.to].map(|time| time.as_millis());
        let [typed, from, to] = times;
        let _ = writeln!(text, "phase {typed} {from} {to} {}", part.name);
    }
    for line in said.lines() {
        let [at, received, question] = line.split(' ').collect::<Vec<&str>>()[..] else {
            continue;
        };
        let _ = writeln!(text, "sample {at} {received}");
        if question != "-" {
            let _ = writeln!(text, "question {at} {question}");
        }
    }
    text
}
