//! What the proof of an accepted program says, for people and as JSON: the most that a run does,
//! loops, stack, helpers and maps.

use isa::{CallTarget, Imm64, Insn, InsnIdx};
use program::{MapId, Object, Program};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use verifier::Verified;
use verifier::facts::Loop;

/// The facts worth showing.
pub(crate) struct Proved<'a> {
    program: &'a Program,
    /// The most instructions of a run.
    insns: Option<u64>,
    loops: Vec<Loop>,
    /// Stack of the deepest chain of calls.
    stack_bytes: u32,
    helpers: BTreeSet<&'static str>,
    maps: BTreeSet<&'a str>,
    /// Instructions that no path reaches.
    dead: usize,
}

impl<'a> Proved<'a> {
    /// Gathers them.
    pub(crate) fn of(object: &'a Object, verified: &Verified<'a>) -> Proved<'a> {
        let program = verified.program();
        let facts = verified.facts();
        let reached = |(at, _): &(InsnIdx, &Insn)| facts.at(*at).reached;
        let insns: Vec<_> = instructions(program).filter(reached).collect();
        let work = facts.work.as_ref();
        Proved {
            program,
            insns: work.map(|work| work.insns),
            loops: work.map(|work| work.loops.clone()).unwrap_or_default(),
            stack_bytes: facts.worst_stack_bytes,
            helpers: insns
                .iter()
                .filter_map(|(_, insn)| helper(program, insn))
                .collect(),
            maps: insns
                .iter()
                .filter_map(|(_, insn)| map(object, insn))
                .collect(),
            dead: instructions(program).count() - insns.len(),
        }
    }

    /// Indented lines.
    pub(crate) fn text(&self) -> String {
        let run = match self.insns {
            Some(most) => format!("at most {most} instructions"),
            None => "as many instructions as its callbacks take".to_owned(),
        };
        let mut out = format!(
            "  a run takes {run} and {} bytes of stack",
            self.stack_bytes
        );
        if self.dead > 0 {
            let _ = write!(out, "; {} instructions are never reached", self.dead);
        }
        out.push('\n');
        for one in &self.loops {
            let place = self.program.line(one.head);
            let place = place.map_or_else(String::new, |line| {
                format!(" ({}:{})", line.file, line.line)
            });
            let _ = writeln!(
                out,
                "  the loop at {}{place} goes round at most {} times in a run",
                one.head, one.rounds
            );
        }
        out += &names("helpers", self.helpers.iter().copied());
        out += &names("maps", self.maps.iter().copied());
        out
    }

    /// The same for machines.
    pub(crate) fn json(&self) -> Value {
        let one_loop = |one: &Loop| {
            let line = self.program.line(one.head);
            json!({
                "instruction": one.head.0,
                "file": line.map(|line| line.file.to_string()),
                "line": line.map(|line| line.line),
                "rounds": one.rounds,
            })
        };
        json!({
            "instructions": self.insns,
            "loops": self.loops.iter().map(one_loop).collect::<Vec<_>>(),
            "stack_bytes": self.stack_bytes,
            "helpers": self.helpers,
            "maps": self.maps,
            "unreached": self.dead,
        })
    }
}

fn names<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("  {what}: {}\n", names.join(", ")),
    }
}

fn instructions(program: &Program) -> impl Iterator<Item = (InsnIdx, &Insn)> {
    let slots = (0u32..).map(InsnIdx).zip(&program.insns);
    slots.filter(|(_, insn)| !matches!(insn, Insn::Imm64High))
}

fn helper(program: &Program, insn: &Insn) -> Option<&'static str> {
    let Insn::Call(CallTarget::Helper(id)) = insn else {
        return None;
    };
    let helper = abi::helper::lookup(program.program_type, u32::try_from(*id).ok()?);
    helper.map(|helper| helper.name)
}

fn map<'a>(object: &'a Object, insn: &Insn) -> Option<&'a str> {
    let Insn::LoadImm64 {
        imm: Imm64::MapFd(index) | Imm64::MapValue { fd: index, .. },
        ..
    } = insn
    else {
        return None;
    };
    let map = object.map(MapId(u16::try_from(*index).ok()?))?;
    Some(map.name.as_str())
}
