//! `--emit cfg`: the control-flow graph of each program as Graphviz text.
//!
//! One cluster per function, one node per basic block with its instructions; solid edges are taken
//! branches, dashed ones fall through.

use isa::{Insn, InsnIdx};
use program::{Function, Object, Program};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// All programs of an object as one Graphviz file.
pub(crate) fn graph(object: &Object) -> String {
    let mut out = String::from("digraph programs {\n  node [shape=box, fontname=monospace];\n");
    for (number, program) in object.programs.iter().enumerate() {
        for function in &program.functions {
            out += &cluster(number, program, function);
        }
    }
    out + "}\n"
}

fn cluster(number: usize, program: &Program, function: &Function) -> String {
    let leaders: Vec<InsnIdx> = leaders(program, function).into_iter().collect();
    let mut out = format!(
        "  subgraph \"cluster_{number}_{}\" {{\n    label=\"{}: {}\";\n",
        function.start.0,
        escape(&program.name),
        escape(&function.name)
    );
    for (at, start) in leaders.iter().enumerate() {
        let end = leaders.get(at + 1).copied().unwrap_or(function.end);
        out += &block(number, program, *start, end);
    }
    out + "  }\n"
}

/// A basic block.
pub(crate) struct Block {
    /// Its first slot.
    pub(crate) start: InsnIdx,
    /// One past its last slot.
    pub(crate) end: InsnIdx,
    /// Where control goes from it.
    pub(crate) next: Vec<InsnIdx>,
}

/// The blocks of a function, in the order of their instructions.
pub(crate) fn blocks(program: &Program, function: &Function) -> Vec<Block> {
    let leaders: Vec<InsnIdx> = leaders(program, function).into_iter().collect();
    let ends = leaders.iter().skip(1).copied().chain([function.end]);
    let block = |(start, end): (&InsnIdx, InsnIdx)| {
        let slots = (start.0..end.0).rev().map(InsnIdx);
        let insns = slots.filter_map(|at| Some((at, program.insns.get(at.index())?)));
        let last = insns
            .into_iter()
            .find(|(_, insn)| !matches!(insn, Insn::Imm64High));
        let next = last.map_or_else(Vec::new, |(at, insn)| successors(at, insn));
        let next = next.into_iter().map(|(to, _)| to);
        Block {
            start: *start,
            end,
            next: next.filter(|to| *to < function.end).collect(),
        }
    };
    leaders.iter().zip(ends).map(block).collect()
}

/// First instructions of the basic blocks.
fn leaders(program: &Program, function: &Function) -> BTreeSet<InsnIdx> {
    let mut leaders = BTreeSet::from([function.start]);
    for slot in (function.start.0..function.end.0).map(InsnIdx) {
        let Some(insn) = program.insns.get(slot.index()) else {
            break;
        };
        let targets = successors(slot, insn);
        let ends = matches!(
            insn,
            Insn::Jump { .. } | Insn::JumpIf { .. } | Insn::MayGoto { .. } | Insn::Exit
        );
        if !ends {
            continue;
        }
        leaders.extend(targets.into_iter().map(|(target, _)| target));
        leaders.extend(slot.jump(0));
    }
    leaders.retain(|slot| *slot >= function.start && *slot < function.end);
    leaders
}

/// Where control goes next, and how the edge is drawn.
fn successors(at: InsnIdx, insn: &Insn) -> Vec<(InsnIdx, &'static str)> {
    let next = InsnIdx(at.0 + insn.slots());
    match *insn {
        Insn::Exit => Vec::new(),
        Insn::Jump { offset, .. } => at
            .jump(offset)
            .map(|to| (to, "solid"))
            .into_iter()
            .collect(),
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
            let taken = at.jump(i32::from(offset)).map(|to| (to, "solid"));
            taken.into_iter().chain([(next, "dashed")]).collect()
        }
        _ => vec![(next, "dashed")],
    }
}

fn block(number: usize, program: &Program, start: InsnIdx, end: InsnIdx) -> String {
    let mut label = String::new();
    let mut last = start;
    for slot in (start.0..end.0).map(InsnIdx) {
        let Some(insn) = program.insns.get(slot.index()) else {
            break;
        };
        if !matches!(insn, Insn::Imm64High) {
            let _ = write!(label, "{}: {}\\l", slot.0, escape(&insn.to_string()));
            last = slot;
        }
    }
    let mut out = format!("    \"{number}_{}\" [label=\"{label}\"];\n", start.0);
    if let Some(insn) = program.insns.get(last.index()) {
        for (target, style) in successors(last, insn) {
            let _ = writeln!(
                out,
                "    \"{number}_{}\" -> \"{number}_{}\" [style={style}];",
                start.0, target.0
            );
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
