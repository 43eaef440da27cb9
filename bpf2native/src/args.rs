//! What was typed: the command line as clap sees it. No file or environment is touched here.
//!
//! The main job needs no subcommand (`bpf2native FILE.o -o FILE.sys`); everything else has one.

use abi::native::ModuleVersion;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// From eBPF object to loadable Windows driver.
///
/// Verifies the bytecode, compiles it to x86-64 and writes a signed driver image that memory
/// integrity (HVCI) accepts and that eBPF for Windows can load.
#[derive(Parser, Debug)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 program rejected, 2 usage or environment, 3 internal bug."
)]
pub(crate) struct Cli {
    /// What to do; without one: compile.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Arguments of the main job.
    #[command(flatten)]
    pub(crate) compile: CompileArgs,
    /// Arguments of every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// Arguments of every command.
#[derive(Args, Debug)]
pub(crate) struct GlobalArgs {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Colours: `auto` means only on a terminal and without NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,
    /// Print errors and what was asked for, nothing else.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// Output format.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Text for people.
    Human,
    /// One JSON document on standard output.
    Json,
    /// Errors and warnings as SARIF 2.1.0 on standard output, for editors and CI.
    Sarif,
}

/// Use of colours.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    /// On terminals.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Verify the programs of an eBPF object; write nothing.
    Verify(VerifyArgs),
    /// Explain a diagnostic: what it means, an example, and what to do.
    Explain(ExplainArgs),
    /// Print the bytecode of an eBPF object with its source lines.
    #[command(visible_alias = "disasm")]
    Disassemble(DisassembleArgs),
    /// Show what a driver contains: programs, maps, helpers, hashes, sections, signature, HVCI.
    Inspect(InspectArgs),
    /// Run a program on this machine: the finished driver image, or the interpreter.
    Run(RunArgs),
    /// Export the test certificate that signs drivers when no key is given.
    Certificate(CertificateArgs),
    /// Plugin for the public bpf_conformance runner.
    ///
    /// Reads the program as hexadecimal bytes on standard input and prints r0 in hexadecimal. The
    /// program is not verified.
    ConformancePlugin(ConformanceArgs),
    /// Print a completion script for a shell.
    Completions(CompletionArgs),
}

/// How an input object is read.
#[derive(Args, Debug, Clone)]
pub(crate) struct ObjectArgs {
    /// Program type of the sections whose name says none, or of one section whatever its name says;
    /// may be repeated.
    #[arg(long = "type", value_name = "[SECTION=]TYPE")]
    pub(crate) program_types: Vec<String>,
    /// What the functions outside of program sections (in `.text`) are.
    #[arg(long, value_enum, default_value_t = TextArg::Subprograms, value_name = "WHAT")]
    pub(crate) text: TextArg,
    /// What happens to a program that has undefined symbols or cannot be decoded; `verify` gives it
    /// the verdict `error`, other commands refuse the file.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) unlinkable: Option<UnlinkableArg>,
    /// Types of the kernel that CO-RE relocations are resolved against: raw BTF such as
    /// `/sys/kernel/btf/vmlinux`, or an ELF file with a `.BTF` section; default: the object's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) btf: Option<PathBuf>,
    /// What programs for Linux are attached to (a function, tracepoint, security hook or iterator of
    /// the kernel) whose section does not say it, or one program whatever its section says; may be
    /// repeated.
    #[arg(long, value_name = "[PROGRAM=]NAME")]
    pub(crate) attach_to: Vec<String>,
    /// Configuration of the kernel that programs for Linux ask for (`.kconfig`): the text of
    /// `/proc/config.gz` or `/boot/config-*`, or one value; may be repeated, the last one wins.
    /// Programs are judged for all values of what is not given.
    #[arg(long, value_name = "FILE|NAME=VALUE")]
    pub(crate) kconfig: Vec<String>,
    /// Version of the kernel that programs for Linux ask for (`LINUX_KERNEL_VERSION`): `6.1`,
    /// `6.1.12`, or what `uname -r` prints.
    #[arg(long, value_name = "VERSION")]
    pub(crate) kernel_version: Option<String>,
    /// Whose helper numbers, map types and contexts the bytecode uses.
    #[arg(long, value_enum, default_value_t = PlatformArg::Windows, value_name = "PLATFORM")]
    pub(crate) platform: PlatformArg,
}

/// Bytecode platform.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PlatformArg {
    /// eBPF for Windows.
    Windows,
    /// The Linux kernel; such programs verify and run here, but make no driver.
    Linux,
}

/// What functions in `.text` are.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TextArg {
    /// Subprograms, unless no other section has a program.
    Subprograms,
    /// Programs, each by itself.
    Programs,
}

/// What happens to a program that cannot be linked.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnlinkableArg {
    /// The whole file is refused.
    Refuse,
    /// The others are used.
    LeaveOut,
}

/// Arguments of the main job.
#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// eBPF objects (`clang -target bpf -O2 -g -c`).
    #[arg(value_name = "FILE.o")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Driver to write; default: the input's name with `.sys`.
    #[arg(short, long, value_name = "FILE.sys", conflicts_with = "out_dir")]
    pub(crate) output: Option<PathBuf>,
    /// Folder for the drivers of several inputs.
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: Option<PathBuf>,
    /// How the input is read.
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// Newest native module ABI that the driver may need, for example `1.4.0` for faster array
    /// lookups; default: the oldest that its code needs.
    #[arg(long, value_name = "VERSION", value_parser = abi_version)]
    pub(crate) abi: Option<ModuleVersion>,
    /// Leave the hash of the object file out of the driver.
    #[arg(long)]
    pub(crate) no_elf_hash: bool,
    /// Print a stage instead of writing a driver (with `-o`: in addition).
    #[arg(long, value_enum, value_name = "STAGE")]
    pub(crate) emit: Vec<Stage>,
    /// Signing.
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// Print how long each stage took.
    #[arg(long)]
    pub(crate) timings: bool,
}

/// Who signs the driver.
#[derive(Args, Debug)]
pub(crate) struct SigningArgs {
    /// Sign with the per-user test certificate (the default).
    #[arg(long, conflicts_with_all = ["pfx", "unsigned"])]
    pub(crate) test_sign: bool,
    /// Sign with the key in a PKCS#12 file.
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    pub(crate) pfx: Option<PathBuf>,
    /// Environment variable that holds the password of `--pfx`.
    #[arg(long, value_name = "VAR", requires = "pfx")]
    pub(crate) password_env: Option<String>,
    /// Do not sign.
    #[arg(long)]
    pub(crate) unsigned: bool,
}

/// A stage to print.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Bytecode with source lines.
    Listing,
    /// Control-flow graph (Graphviz).
    Cfg,
    /// What the verifier knows before each instruction, over all its visits.
    State,
    /// The verifier's state at each visit, in the order of its exploration.
    Visits,
    /// Cranelift IR of each function.
    Clif,
    /// Machine code.
    Asm,
    /// Unwind data.
    Unwind,
    /// Driver image: headers, sections, HVCI table.
    Pe,
}

/// `verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// eBPF objects.
    #[arg(value_name = "FILE.o", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// How the input is read.
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// Only the programs of this section.
    #[arg(long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Only this program.
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Print what is known before each instruction.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Write a page with source, bytecode, states and control flow.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// `explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// Ids of diagnostics, for example `BN0218`; without any, all are listed.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
}

/// `disassemble`.
#[derive(Args, Debug)]
pub(crate) struct DisassembleArgs {
    /// eBPF object.
    #[arg(value_name = "FILE.o")]
    pub(crate) input: PathBuf,
    /// How the input is read.
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// Only the programs of this section.
    #[arg(long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Only this program.
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
}

/// `inspect`.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Driver.
    #[arg(value_name = "FILE.sys")]
    pub(crate) input: PathBuf,
}

/// `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Driver, or eBPF object (compiled in memory).
    #[arg(value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// How an object is read.
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// Program to run; may be left out when there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Packets to run it on (pcap or pcapng).
    #[arg(long, value_name = "FILE.pcap", conflicts_with = "ctx")]
    pub(crate) packet: Option<PathBuf>,
    /// Context bytes to run it on, in hexadecimal; `@FILE` reads one context per line from a file.
    #[arg(long, value_name = "HEX")]
    pub(crate) ctx: Option<String>,
    /// Bytes behind the context's data pointer, in hexadecimal (with `--ctx`).
    #[arg(long, value_name = "HEX", requires = "ctx")]
    pub(crate) data: Option<String>,
    /// Set an entry of a map first (key and value in hexadecimal); may be repeated.
    #[arg(long, value_name = "NAME:KEY=VALUE")]
    pub(crate) map: Vec<String>,
    /// Run the whole input this many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// What executes the program.
    #[arg(long, value_enum, default_value_t = EngineArg::Native, value_name = "ENGINE")]
    pub(crate) engine: EngineArg,
}

/// What executes a program.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EngineArg {
    /// The driver image, mapped and attached as on Windows.
    Native,
    /// The interpreter of the runtime.
    Interpreter,
}

/// `certificate`.
#[derive(Args, Debug)]
pub(crate) struct CertificateArgs {
    /// Where to write the certificate (DER); default: only print where it is.
    #[arg(short, long, value_name = "FILE.cer")]
    pub(crate) output: Option<PathBuf>,
}

/// `conformance-plugin`.
#[derive(Args, Debug)]
pub(crate) struct ConformanceArgs {
    /// What executes the program.
    #[arg(long, value_enum, default_value_t = EngineArg::Native, value_name = "ENGINE")]
    pub(crate) engine: EngineArg,
    /// Memory for r1 as hexadecimal bytes.
    #[arg(value_name = "MEMORY-HEX", default_value = "")]
    pub(crate) memory: String,
    /// The program as hexadecimal bytes, instead of standard input.
    #[arg(long, value_name = "HEX")]
    pub(crate) program: Option<String>,
}

/// `completions`.
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// Shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Parses `1.4.0`.
fn abi_version(text: &str) -> Result<ModuleVersion, String> {
    let parts: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    match parts.as_deref() {
        Ok([major, minor, revision]) => Ok(ModuleVersion {
            major: *major,
            minor: *minor,
            revision: *revision,
        }),
        _ => Err("expected three numbers, for example 1.4.0".to_owned()),
    }
}
