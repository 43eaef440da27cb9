//! The plugin as the public bpf_conformance runner uses it: files in that suite's format, the memory
//! in the first argument when there is any, options behind it, the program as hexadecimal bytes on
//! standard input (two spaces behind each byte), r0 compared.
//!
//! A file has sections that begin with `-- NAME`: `asm` (the assembler of uBPF) or `raw` (slots as
//! 64-bit numbers), `mem` (bytes), and `result` (r0) or `error` (the program must be refused). The
//! files in `conformance/` are our own. A folder with the public suite can be given in
//! `BPF_CONFORMANCE`; `docs/conformance.md` says what was run of it. Left out, and counted: calls
//! through registers and of kernel functions, which no platform of ours takes, and files with
//! sections that the runner itself does not know.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::bpf2native;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What the translation says of calls that no platform of ours has.
const UNSUPPORTED: &str = "callx";
/// Sections that the runner knows; it skips a file with others.
const SECTIONS: [&str; 7] = [
    "asm",
    "raw",
    "mem",
    "result",
    "error",
    "c",
    "no register offset",
];

#[test]
fn our_files() {
    let ran = run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance"));
    assert!(ran >= 12, "only {ran} files");
}

#[test]
fn the_public_suite() {
    match std::env::var_os("BPF_CONFORMANCE") {
        Some(folder) => println!("{} files ran", run_folder(Path::new(&folder))),
        None => eprintln!("SKIPPED: BPF_CONFORMANCE names no folder with the public suite"),
    }
}

/// Runs all files on both engines; how many ran.
fn run_folder(folder: &Path) -> usize {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "data"))
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    let mut left_out = Vec::new();
    for file in &files {
        let sections = sections(&fs::read_to_string(file).unwrap());
        let is_known = |name: &String| name.is_empty() || SECTIONS.contains(&name.as_str());
        if !sections.keys().all(is_known) {
            left_out.push(file);
            continue;
        }
        let bytes = match program(&sections) {
            Ok(bytes) => bytes,
            Err(why) if why == UNSUPPORTED => {
                left_out.push(file);
                continue;
            }
            Err(why) => panic!("{}: {why}", file.display()),
        };
        for engine in ["native", "interpreter"] {
            if let Err(why) = judge(&sections, &bytes, engine) {
                wrong.push(format!("{} on {engine}: {why}", file.display()));
            }
        }
    }
    println!("left out: {left_out:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    files.len() - left_out.len()
}

/// The sections of a file by name, without comments.
fn sections(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(next) = line.strip_prefix("-- ") {
            name = next.trim().to_owned();
            sections.entry(name.clone()).or_default();
        } else if !line.is_empty() {
            sections
                .entry(name.clone())
                .or_default()
                .push(line.to_owned());
        }
    }
    sections
}

fn program(sections: &BTreeMap<String, Vec<String>>) -> Result<Vec<u8>, String> {
    if let Some(raw) = sections.get("raw") {
        let slots = raw.iter().flat_map(|line| line.split_whitespace());
        let slots = slots.map(|slot| number(slot).map(i64::to_le_bytes));
        return Ok(slots.collect::<Result<Vec<_>, _>>()?.concat());
    }
    let lines = sections.get("asm").ok_or("neither asm nor raw")?;
    let lines: Result<Vec<String>, String> = lines.iter().map(|line| translate(line)).collect();
    let mut lines = lines?;
    // The first exit is a label, too.
    if let Some(first) = lines.iter().position(|line| line == "exit") {
        lines.insert(first, format!("{EXIT}:"));
    }
    let insns = isa::asm::assemble(&lines.join("\n")).map_err(|error| error.to_string())?;
    isa::encode::program(&insns).map_err(|error| format!("{error:?}"))
}

/// Runs the plugin and compares.
fn judge(
    sections: &BTreeMap<String, Vec<String>>,
    bytes: &[u8],
    engine: &str,
) -> Result<(), String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}  ")).collect();
    let memory = sections.get("mem").map(|lines| {
        let bytes = lines.iter().flat_map(|line| line.split_whitespace());
        bytes.map(|byte| format!("{byte}  ")).collect::<String>()
    });
    let mut child = bpf2native()
        .arg("conformance-plugin")
        .args(memory)
        .args(["--engine", engine])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        let _ = writeln!(input, "{hex}");
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let found = u64::from_str_radix(stdout.trim(), 16).ok();
    let expected = sections.get("result").and_then(|lines| lines.first());
    match expected {
        Some(expected) if found == Some(number(expected)?.cast_unsigned()) => Ok(()),
        None if !output.status.success() => Ok(()),
        _ => Err(format!(
            "{found:x?} instead of {expected:?}; {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// A number of 64 bits, as a signed one.
fn number(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.trim()),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let value = value.map_err(|_| format!("`{text}` is no number"))?;
    Ok((sign * value) as i64)
}

/// The label of the first exit.
const EXIT: &str = "first_exit";

/// The target of a jump in our notation.
fn target(to: &str) -> &str {
    if to == "exit" { EXIT } else { to }
}

/// One line of uBPF's assembler in our notation.
fn translate(line: &str) -> Result<String, String> {
    if line.ends_with(':') {
        return Ok(line.to_owned());
    }
    let line = line.replace('%', "");
    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let operands: Vec<&str> = rest.split(',').map(str::trim).collect();
    match (word, operands.as_slice()) {
        ("exit", _) => Ok("exit".into()),
        ("ja", [to]) => Ok(format!("goto {}", target(to))),
        ("ja32", [to]) => Ok(format!("gotol {}", target(to))),
        ("call", [to]) => call(to),
        ("lddw", [dst, value]) => Ok(format!("{dst} = {} ll", number(value)?.cast_unsigned())),
        ("lock", _) => atomic(rest),
        (_, [dst, src, to]) if word.starts_with('j') => jump(word, (dst, src), to),
        (_, [dst]) => unary(word, dst),
        (_, [dst, src]) if word.starts_with("ld") || word.starts_with("st") => {
            memory(word, dst, src)
        }
        (_, [dst, src]) => binary(word, dst, src),
        _ => Err(format!("`{line}` is not understood")),
    }
}

/// `call 5`, `call helper 5`, `call local f`.
fn call(to: &str) -> Result<String, String> {
    match to.split_once(' ').unwrap_or(("helper", to)) {
        ("runtime", _) => Err(UNSUPPORTED.into()),
        ("helper", to) if to.starts_with('r') => Err(UNSUPPORTED.into()),
        ("helper", to) => Ok(format!("call {}", number(to)?)),
        ("local", to) => Ok(format!("call {to}")),
        (mode, _) => Err(format!("no calls of mode `{mode}`")),
    }
}

/// The name of a register in its width.
fn register(name: &str, is_narrow: bool) -> String {
    match is_narrow {
        true => name.replace('r', "w"),
        false => name.to_owned(),
    }
}

/// A register, or an immediate as the 32 bits that are encoded.
fn operand(text: &str, is_narrow: bool) -> Result<String, String> {
    match text.starts_with('r') {
        true => Ok(register(text, is_narrow)),
        false => Ok((number(text)? as i32).to_string()),
    }
}

/// A word without the width at its end.
fn narrow(word: &str) -> (&str, bool) {
    match word.strip_suffix("32") {
        Some(word) => (word, true),
        None => (word.strip_suffix("64").unwrap_or(word), false),
    }
}

fn jump(word: &str, (dst, src): (&str, &str), to: &str) -> Result<String, String> {
    let (word, is_narrow) = narrow(&word[1..]);
    let sign = match word {
        "eq" => "==",
        "ne" => "!=",
        "gt" => ">",
        "ge" => ">=",
        "lt" => "<",
        "le" => "<=",
        "set" => "&",
        "sgt" => "s>",
        "sge" => "s>=",
        "slt" => "s<",
        "sle" => "s<=",
        _ => return Err(format!("no condition `{word}`")),
    };
    let (dst, src) = (register(dst, is_narrow), operand(src, is_narrow)?);
    Ok(format!("if {dst} {sign} {src} goto {}", target(to)))
}

fn binary(word: &str, dst: &str, src: &str) -> Result<String, String> {
    if let Some(widths) = word.strip_prefix("movsx") {
        // The source's bits, then the result's.
        let from = ["8", "16", "32"]
            .iter()
            .find(|bits| widths.starts_with(**bits));
        let from = from.ok_or_else(|| format!("no width in `{word}`"))?;
        let is_narrow = &widths[from.len()..] == "32";
        let (dst, src) = (register(dst, is_narrow), register(src, is_narrow));
        return Ok(format!("{dst} = (s{from}){src}"));
    }
    let (word, is_narrow) = narrow(word);
    let sign = match word {
        "mov" => "=",
        "add" => "+=",
        "sub" => "-=",
        "mul" => "*=",
        "div" => "/=",
        "sdiv" => "s/=",
        "or" => "|=",
        "and" => "&=",
        "lsh" => "<<=",
        "rsh" => ">>=",
        "mod" => "%=",
        "smod" => "s%=",
        "xor" => "^=",
        "arsh" => "s>>=",
        _ => return Err(format!("no operation `{word}`")),
    };
    let (dst, src) = (register(dst, is_narrow), operand(src, is_narrow)?);
    Ok(format!("{dst} {sign} {src}"))
}

fn unary(word: &str, dst: &str) -> Result<String, String> {
    if let ("neg", is_narrow) = narrow(word) {
        let dst = register(dst, is_narrow);
        return Ok(format!("{dst} = -{dst}"));
    }
    let word = word.replacen("swap", "bswap", usize::from(!word.starts_with("bswap")));
    let is_swap = ["le", "be", "bswap"]
        .iter()
        .any(|kind| word.starts_with(kind));
    match is_swap {
        true => Ok(format!("{dst} = {word} {dst}")),
        false => Err(format!("no operation `{word}`")),
    }
}

/// `[r1+4]` as an address in our notation.
fn address(text: &str) -> Result<String, String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("`{text}` is no address"))?;
    let split = inner.find(['+', '-']).unwrap_or(inner.len());
    let (base, offset) = inner.split_at(split);
    let offset = match offset.trim_start_matches('+') {
        "" => 0,
        offset => number(offset)?,
    };
    let sign = if offset < 0 { '-' } else { '+' };
    Ok(format!("({} {sign} {})", base.trim(), offset.abs()))
}

fn memory(word: &str, dst: &str, src: &str) -> Result<String, String> {
    let is_load = word.starts_with("ld");
    let kind = word.trim_start_matches("ldx").trim_start_matches("stx");
    let kind = kind.trim_start_matches("st");
    let (letter, sign) = match kind.strip_prefix('s') {
        Some(kind) => (kind, 's'),
        None => (kind, 'u'),
    };
    let bits = match letter {
        "b" => 8,
        "h" => 16,
        "w" => 32,
        "dw" => 64,
        _ => return Err(format!("no size in `{word}`")),
    };
    match is_load {
        true => Ok(format!("{dst} = *({sign}{bits} *){}", address(src)?)),
        false => Ok(format!(
            "*(u{bits} *){} = {}",
            address(dst)?,
            operand(src, false)?
        )),
    }
}

fn atomic(rest: &str) -> Result<String, String> {
    let rest = &rest.trim_start().replacen("fetch ", "fetch_", 1);
    let (word, operands) = rest.split_once(' ').ok_or("an atomic without operands")?;
    let (to, src) = operands
        .split_once(',')
        .ok_or("an atomic without operands")?;
    let (word, is_narrow) = narrow(word.trim());
    let (src, bits) = (
        register(src.trim(), is_narrow),
        if is_narrow { 32 } else { 64 },
    );
    let address = address(to.trim())?;
    let pointer = format!("(u{bits} *){address}");
    if let Some(name) = word.strip_prefix("fetch_") {
        return Ok(format!("{src} = atomic_fetch_{name}({pointer}, {src})"));
    }
    let (inner, mark) = (
        address.trim_matches(['(', ')']),
        if is_narrow { "32" } else { "" },
    );
    let sign = match word {
        "add" => "+=",
        "or" => "|=",
        "and" => "&=",
        "xor" => "^=",
        "xchg" => return Ok(format!("{src} = xchg{mark}_{bits}({inner}, {src})")),
        "cmpxchg" => {
            let result = register("r0", is_narrow);
            return Ok(format!(
                "{result} = cmpxchg{mark}_{bits}({inner}, {result}, {src})"
            ));
        }
        _ => return Err(format!("no atomic `{word}`")),
    };
    Ok(format!("lock *{pointer} {sign} {src}"))
}
