//! What was typed: the command line as clap sees it.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Looks at programs, maps, links and pins of the eBPF runtime, and changes them.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 a program was refused, 2 anything else.\n\
                  Where there is no driver (everywhere but on Windows) a simulated runtime answers, \
                  which holds what --load names and ends with the command."
)]
pub(crate) struct Cli {
    /// Answer with one JSON document per answer.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Load this object file or driver first; it stays as long as the command runs.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) load: Vec<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Programs.
    #[command(subcommand)]
    Prog(Prog),
    /// Maps.
    #[command(subcommand)]
    Map(Map),
    /// Links: programs at hooks.
    #[command(subcommand)]
    Link(Link),
    /// Pins: paths that keep objects.
    #[command(subcommand)]
    Pin(Pin),
    /// Print records of a ring buffer as they come.
    Events(Events),
    /// Runs of programs and counters that they keep in maps, with rates.
    Stats(Stats),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Commands about programs.
#[derive(Subcommand, Debug)]
pub(crate) enum Prog {
    /// List programs.
    List,
    /// Show one program.
    Show {
        /// `ID`, `name:NAME` or `pinned:PATH`.
        program: String,
    },
    /// Load the programs of a file and pin them, so that they stay.
    Load(Load),
    /// Run a program on a packet and context that nobody else sees.
    Run(Run),
}

/// Arguments of `prog load`.
#[derive(Args, Debug)]
pub(crate) struct Load {
    /// Object file (.o) or driver (.sys).
    pub(crate) file: PathBuf,
    /// Pin each program below this path.
    #[arg(long, default_value = "programs", value_name = "PATH")]
    pub(crate) pin: String,
    /// Attach this program to the hook of its section.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) attach: Option<String>,
    /// Attach on this interface or compartment only.
    #[arg(long, requires = "attach", value_name = "NUMBER")]
    pub(crate) to: Option<u32>,
}

/// Arguments of `prog run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// `ID`, `name:NAME` or `pinned:PATH`.
    pub(crate) program: String,
    /// The packet, in hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value = "")]
    pub(crate) data: String,
    /// The context, in hexadecimal digits; zeroes without it.
    #[arg(long, value_name = "HEX", default_value = "")]
    pub(crate) context: String,
    /// How often it runs.
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: u64,
}

/// Commands about maps. A map is `ID`, `name:NAME` or `pinned:PATH`. Keys and values are numbers of the
/// map's size, or `hex:` with digits.
#[derive(Subcommand, Debug)]
pub(crate) enum Map {
    /// List maps.
    List,
    /// Show all keys and values.
    Dump {
        /// The map.
        map: String,
    },
    /// Show the value of a key.
    Lookup {
        /// The map.
        map: String,
        /// The key.
        key: String,
    },
    /// Store a value; in per-CPU maps for each processor.
    Update {
        /// The map.
        map: String,
        /// The key.
        #[arg(allow_negative_numbers = true)]
        key: String,
        /// The value.
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Remove a key.
    Delete {
        /// The map.
        map: String,
        /// The key.
        key: String,
    },
}

/// Commands about links.
#[derive(Subcommand, Debug)]
pub(crate) enum Link {
    /// List links.
    List,
    /// Detach a program.
    Detach {
        /// Id of the link.
        id: u32,
    },
}

/// Commands about pins.
#[derive(Subcommand, Debug)]
pub(crate) enum Pin {
    /// List pins.
    List,
    /// Pin a program to a path.
    Prog {
        /// `ID`, `name:NAME` or `pinned:PATH`.
        program: String,
        /// The path.
        path: String,
    },
    /// Pin a map to a path.
    Map {
        /// `ID`, `name:NAME` or `pinned:PATH`.
        map: String,
        /// The path.
        path: String,
    },
    /// Remove a pin.
    Remove {
        /// The path.
        path: String,
    },
}

/// Arguments of `events`.
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// The ring buffer: `ID`, `name:NAME` or `pinned:PATH`.
    pub(crate) map: String,
    /// End after so many records.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// End when there was none for so many milliseconds.
    #[arg(long, value_name = "MS")]
    pub(crate) timeout: Option<u64>,
}

/// Arguments of `stats`.
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// Answer again and again, with rates; a graph on terminals.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Milliseconds between answers.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub(crate) interval: u64,
    /// End after so many answers.
    #[arg(long)]
    pub(crate) count: Option<u64>,
}
