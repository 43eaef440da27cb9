//! The story from beginning to end, and whether it went as it must.

use super::chart::{self, Data};
use super::measure::{Sampler, rate};
use super::network::{ADDRESS, CLIENT, INSIDE, Network, OUTSIDE, SERVER};
use super::probe::{self, Question};
use super::process::{Running, is_installed};
use super::record;
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Shows a name server under a flood without and with a driver in front of it (Linux, as root).
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The driver that protects
    #[arg(long, value_name = "FILE.sys", required_unless_present_any = ["ask", "draw"])]
    driver: Option<PathBuf>,
    /// Draw and judge a story that was told elsewhere
    #[arg(long, value_name = "RECORD", conflicts_with = "driver")]
    draw: Option<PathBuf>,
    /// Datagrams per second of the flood
    #[arg(long, default_value_t = 200_000)]
    rate: u32,
    /// Seconds for each part of the story
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// The picture; a PNG is written beside it if there is a browser
    #[arg(long, value_name = "FILE.svg", default_value = "dnsflood.svg")]
    picture: PathBuf,
    /// Be the client of a server
    #[arg(long, hide = true)]
    ask: Option<String>,
}

/// What this cannot do without, and the package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("dnsmasq", "dnsmasq-base"),
];
/// Time after a change that is not counted.
const SETTLE: Duration = Duration::from_millis(500);
/// What the server may receive per second while it is protected, its own client included.
const PROTECTED: f64 = 10.0;
/// What it must receive otherwise, for the story to mean something.
const FLOODED: f64 = 10_000.0;

/// A part of the story.
pub(crate) struct Phase {
    pub(crate) name: String,
    /// Where the picture has its line: when what begins it was asked for.
    pub(crate) shown: Duration,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// What a part of the story showed.
struct Finding<'a> {
    name: &'a str,
    rate: f64,
    asked: usize,
    answered: usize,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (&args.ask, &args.draw) {
        (Some(server), _) => probe::ask(server).map_err(|error| error.to_string()),
        (None, Some(record)) => {
            record::read(record).and_then(|story| show(&story, &args.picture, "let through"))
        }
        (None, None) => tell(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &Args) -> Result<(), String> {
    if let Some((tool, package)) = TOOLS.iter().find(|(tool, _)| !is_installed(tool)) {
        return Err(format!("{tool} is missing: install the package {package}"));
    }
    let driver = args.driver.as_deref().unwrap_or(Path::new(""));
    let driver = driver
        .canonicalize()
        .map_err(|error| format!("{}: {error}", driver.display()))?;
    show(&play(args, &driver)?, &args.picture, "answered")
}

/// Says what a story showed, draws it, and judges it; `fate` is what became of good questions.
fn show((phases, samples, questions): &Story, picture: &Path, fate: &str) -> Result<(), String> {
    let data = Data {
        samples,
        questions,
        phases,
    };
    let findings: Vec<Finding<'_>> = phases.iter().map(|phase| finding(phase, &data)).collect();
    for finding in &findings {
        println!(
            "{:<16} {:>9.0} datagrams/s at the server   {} of {} questions {fate}",
            finding.name, finding.rate, finding.answered, finding.asked
        );
    }
    chart::svg(picture, &data)?;
    println!("wrote {}", picture.display());
    match chart::png(picture)? {
        Some(path) => println!("wrote {}", path.display()),
        None => println!("no PNG: there is no browser to draw it"),
    }
    judge(&findings)
}

/// What happened: its parts, what reached the server, what became of questions.
pub(crate) type Story = (Vec<Phase>, Vec<super::measure::Sample>, Vec<Question>);

/// Lets it happen.
fn play(args: &Args, driver: &Path) -> Result<Story, String> {
    let _network = Network::new()?;
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut server = name_server()?;
    let gate = here.with_file_name("gate");
    let mut gate = Running::start(SERVER, gate, &["--outside", OUTSIDE, "--inside", INSIDE])?;
    gate.line()?;
    sleep(SETTLE);
    server.must_live()?;
    let start = Instant::now();
    let sampler = Sampler::start(server.id(), start);
    let mut client = Running::start(CLIENT, &here, &["--ask", ADDRESS])?;
    let questions = probe::listen(&mut client, start);
    let mut phases = Vec::new();
    let mut phase = |name: &str, seconds| {
        let (name, from) = (name.to_owned(), start.elapsed());
        sleep(Duration::from_secs(seconds));
        let to = start.elapsed();
        phases.push(Phase {
            name,
            shown: from,
            from,
            to,
        });
    };
    phase("quiet", 2);
    let rate = args.rate.to_string();
    let mut flood = Running::start(
        CLIENT,
        here.with_file_name("dnsflood"),
        &[ADDRESS, "--quiet", "--rate", &rate],
    )?;
    phase("flood", args.seconds);
    gate.ask(&format!("start droppacket {}", driver.display()))?;
    phase("driver started", args.seconds);
    println!("gate: {}", gate.ask("stop droppacket")?);
    phase("driver stopped", args.seconds);
    for (process, name) in [(&mut flood, "the flood"), (&mut server, "the server")] {
        process
            .must_live()
            .map_err(|error| format!("{name} ended too early: {error}"))?;
    }
    drop(flood);
    drop(client);
    let samples = sampler.finish();
    let questions = questions.join().unwrap_or_default();
    Ok((phases, samples, questions))
}

/// A real name server that knows one name.
fn name_server() -> Result<Running, String> {
    let name = format!("--address=/{}/{ADDRESS}", probe::NAME);
    let listen = format!("--listen-address={ADDRESS}");
    let arguments = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--user=root",
        "--pid-file",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--log-facility=/dev/null",
        &listen,
        &name,
    ];
    Running::start(SERVER, "dnsmasq", &arguments)
}

fn finding<'a>(phase: &'a Phase, data: &Data<'_>) -> Finding<'a> {
    let from = phase.from + SETTLE;
    let inside = |question: &&Question| (from..=phase.to).contains(&question.at);
    let asked = data.questions.iter().filter(inside);
    let answered = asked.clone().filter(|question| question.answered.is_some());
    Finding {
        name: &phase.name,
        rate: rate(data.samples, from, phase.to).unwrap_or(f64::NAN),
        asked: asked.count(),
        answered: answered.count(),
    }
}

/// Whether the driver protected the server, and only while it ran.
fn judge(findings: &[Finding<'_>]) -> Result<(), String> {
    let [quiet, flooded, protected, stopped] = findings else {
        return Err("the story is not whole".to_owned());
    };
    let must = |is_so: bool, what: &str| match is_so {
        true => Ok(()),
        false => Err(format!("it did not go as it must: {what}")),
    };
    must(quiet.answered > 0, "the server answers without a flood")?;
    must(flooded.rate > FLOODED, "the flood reaches the server")?;
    must(
        protected.rate < PROTECTED,
        "nothing of the flood reaches the server while the driver runs",
    )?;
    must(
        protected.answered * 2 > protected.asked,
        "the server answers while the driver runs",
    )?;
    must(
        stopped.rate > FLOODED,
        "the flood is back when the driver is stopped",
    )
}
