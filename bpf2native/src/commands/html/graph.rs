//! The control-flow graph of a program as SVG: blocks in layers by their longest way from the entry
//! (jumps back left out), edges as curves, loops and dead parts marked.

use super::{Verdict, anchor, escape, has_problem};
use crate::commands::cfg;
use isa::InsnIdx;
use program::Program;
use std::collections::BTreeMap;

/// Blocks beyond which a graph helps nobody.
const BLOCKS: usize = 400;
const WIDTH: u32 = 190;
const HEIGHT: u32 = 34;
const GAP: u32 = 30;

/// The graph of all functions, folded away when it is large.
pub(super) fn svg(
    program: &Program,
    verdict: &Verdict<'_>,
    is_reached: &dyn Fn(InsnIdx) -> bool,
) -> String {
    let blocks: Vec<cfg::Block> = program
        .functions
        .iter()
        .flat_map(|function| cfg::blocks(program, function))
        .collect();
    if blocks.len() > BLOCKS {
        let count = blocks.len();
        return format!("<p>The control flow has {count} blocks: too many to draw.</p>\n");
    }
    let places = places(&blocks);
    let right = places
        .values()
        .map(|(x, _)| x + WIDTH + GAP)
        .max()
        .unwrap_or(0);
    let bottom = places
        .values()
        .map(|(_, y)| y + HEIGHT + GAP)
        .max()
        .unwrap_or(0);
    let mut out = format!(
        "<details><summary>control flow, {} blocks</summary><div class=\"graph\">\
         <svg width=\"{right}\" height=\"{bottom}\" role=\"img\" aria-label=\"control flow\">\n",
        blocks.len()
    );
    let edges = blocks
        .iter()
        .flat_map(|block| block.next.iter().map(|next| (block.start, *next)));
    for (start, next) in edges {
        let dead = if is_reached(start) && is_reached(next) {
            ""
        } else {
            "dead"
        };
        if let (Some(from), Some(to)) = (places.get(&start), places.get(&next)) {
            out += &edge(*from, *to, dead);
        }
    }
    for block in &blocks {
        if let Some(place) = places.get(&block.start) {
            out += &one_box(program, verdict, (block, *place), is_reached);
        }
    }
    out + "</svg></div></details>\n"
}

fn one_box(
    program: &Program,
    verdict: &Verdict<'_>,
    (block, (x, y)): (&cfg::Block, (u32, u32)),
    is_reached: &dyn Fn(InsnIdx) -> bool,
) -> String {
    let mut slots = (block.start.0..block.end.0).map(InsnIdx);
    let class = match slots.any(|at| has_problem(verdict, at)) {
        true => "error",
        false if !is_reached(block.start) => "dead",
        false => "",
    };
    let line = program.line(block.start);
    let line = line.map_or_else(String::new, |line| {
        let text: String = line.text.trim().chars().take(21).collect();
        format!("{}: {}", line.line, escape(&text))
    });
    let (first, last) = (block.start.0, block.end.0 - 1);
    format!(
        "<a href=\"#{}\"><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" rx=\"4\"/><text x=\"{tx}\" y=\"{t1}\">i{first} to i{last}</text>\
         <text x=\"{tx}\" y=\"{t2}\">{line}</text></a>",
        anchor(verdict, block.start),
        tx = x + 6,
        t1 = y + 14,
        t2 = y + 28
    )
}

/// Left upper corners. Blocks come in the order of their instructions, so one pass finds the longest
/// forward way to each.
fn places(blocks: &[cfg::Block]) -> BTreeMap<InsnIdx, (u32, u32)> {
    let mut layers: BTreeMap<InsnIdx, u32> = BTreeMap::new();
    for block in blocks {
        let layer = *layers.entry(block.start).or_default();
        for next in block.next.iter().filter(|next| **next > block.start) {
            let below = layers.entry(*next).or_default();
            *below = (*below).max(layer + 1);
        }
    }
    let mut columns: BTreeMap<u32, u32> = BTreeMap::new();
    let place = |block: &cfg::Block| {
        let layer = layers.get(&block.start).copied().unwrap_or(0);
        let column = columns.entry(layer).or_default();
        let x = GAP + *column * (WIDTH + GAP);
        *column += 1;
        (block.start, (x, GAP / 2 + layer * (HEIGHT + GAP)))
    };
    blocks.iter().map(place).collect()
}

fn edge((x, y): (u32, u32), (to_x, to_y): (u32, u32), dead: &'static str) -> String {
    let is_back = to_y <= y;
    let class = match is_back && dead.is_empty() {
        true => "back",
        false => dead,
    };
    if to_y > y + HEIGHT + GAP {
        // Past the layers between, on the right.
        let (from, to) = (y + HEIGHT / 2, to_y + HEIGHT / 2);
        let (x, to_x) = (x + WIDTH, to_x + WIDTH);
        let out = x.max(to_x) + GAP;
        return format!(
            "<path class=\"{class}\" d=\"M{x} {from} C{out} {from} {out} {to} {to_x} {to}\"/>\n"
        );
    }
    let (x, to_x) = (x + WIDTH / 2, to_x + WIDTH / 2);
    let from = y + HEIGHT;
    if is_back {
        // Around the left side.
        let left = x.min(to_x).saturating_sub(WIDTH / 2 + GAP / 2);
        return format!(
            "<path class=\"{class}\" d=\"M{x} {from} C{left} {from} {left} {to_y} {to_x} {to_y}\"/>\n"
        );
    }
    let (a, b) = (from + GAP / 2, to_y.saturating_sub(GAP / 2));
    format!("<path class=\"{class}\" d=\"M{x} {from} C{x} {a} {to_x} {b} {to_x} {to_y}\"/>\n")
}
