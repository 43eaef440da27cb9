//! The control-flow graph of a program as SVG: blocks in layers by their longest way from the entry
//! (jumps back left out), below what leads to them, edges as curves; loops, dead parts and the paths
//! to problems are marked.

use super::{Article, anchor, escape};
use crate::commands::cfg;
use isa::InsnIdx;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Blocks beyond which a graph helps nobody.
const BLOCKS: usize = 2000;
const WIDTH: i64 = 210;
const HEIGHT: i64 = 38;
const GAP: i64 = 30;

/// Left upper corner of a block.
type Corner = (i64, i64);

/// The graph of all functions, one below the other.
pub(super) fn svg(article: &Article<'_>, open: &str) -> String {
    let functions = article.program.functions.iter();
    let functions: Vec<Vec<cfg::Block>> = functions
        .map(|function| cfg::blocks(article.program, function))
        .collect();
    let count = functions.iter().map(Vec::len).sum::<usize>();
    if count > BLOCKS {
        return format!("<p>The control flow has {count} blocks: too many to draw.</p>\n");
    }
    let plural = if count == 1 { "" } else { "s" };
    let mut places = BTreeMap::new();
    let mut bottom = 0;
    for blocks in &functions {
        bottom = place(blocks, bottom, &mut places) + GAP;
    }
    let right = places.values().map(|(x, _)| x + WIDTH + 2 * GAP).max();
    let right = right.unwrap_or(0);
    let blocks: Vec<&cfg::Block> = functions.iter().flatten().collect();
    let mut out = format!(
        "<details class=\"flow\"{open}><summary>control flow, {count} block{plural}</summary>\
         <div class=\"tools\"></div><div class=\"graph\" tabindex=\"0\">\
         <svg width=\"{right}\" height=\"{bottom}\" viewBox=\"0 0 {right} {bottom}\" \
         role=\"group\" aria-label=\"control flow\">\n",
    );
    for block in &blocks {
        for next in &block.next {
            out += &one_edge(article, block, *next, &places);
        }
    }
    for block in &blocks {
        if let Some(place) = places.get(&block.start) {
            out += &one_box(article, block, *place);
        }
    }
    out + "</svg></div></details>\n"
}

fn one_box(article: &Article<'_>, block: &cfg::Block, (x, y): Corner) -> String {
    let mut slots = (block.start.0..block.end.0).map(InsnIdx);
    let class = match slots.any(|at| article.has_problem(at)) {
        true => "block error",
        false if !article.is_reached(block.start) => "block dead",
        false => "block",
    };
    let line = article.program.line(block.start);
    let line = line.map_or_else(String::new, |line| {
        let text: String = line.text.trim().chars().take(24).collect();
        format!("{}: {}", line.line, escape(&text))
    });
    let mut functions = article.program.functions.iter();
    let function = functions.find(|function| function.start == block.start);
    let name = function.map_or_else(String::new, |function| {
        let name: String = function.name.chars().take(18).collect();
        format!(" {}", escape(&name))
    });
    let (first, last) = (block.start.0, block.end.0.saturating_sub(1));
    format!(
        "<a {} href=\"#{}\" data-from=\"{first}\" data-to=\"{last}\"><rect x=\"{x}\" y=\"{y}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\"/><text x=\"{tx}\" y=\"{t1}\">i{first} to \
         i{last}{name}</text><text x=\"{tx}\" y=\"{t2}\">{line}</text></a>\n",
        article.marks(class, |way| way.states.contains_key(&block.start)),
        anchor(article.number, first),
        tx = x + 7,
        t1 = y + 15,
        t2 = y + 30
    )
}

/// Places the blocks of one function from a height down; how far down they reach. Blocks come in the
/// order of their instructions, so one pass finds the longest forward way to each.
fn place(blocks: &[cfg::Block], top: i64, places: &mut BTreeMap<InsnIdx, Corner>) -> i64 {
    let mut layer_of: BTreeMap<InsnIdx, usize> = BTreeMap::new();
    let mut layers: Vec<Vec<&cfg::Block>> = Vec::new();
    let mut above: BTreeMap<InsnIdx, Vec<InsnIdx>> = BTreeMap::new();
    for block in blocks {
        let layer = *layer_of.entry(block.start).or_default();
        layers.resize_with(layers.len().max(layer + 1), Vec::new);
        layers[layer].push(block);
        for next in block.next.iter().filter(|next| **next > block.start) {
            let below = layer_of.entry(*next).or_default();
            *below = (*below).max(layer + 1);
            above.entry(*next).or_default().push(block.start);
        }
    }
    let mut columns: BTreeMap<InsnIdx, i64> = BTreeMap::new();
    for layer in &layers {
        place_layer(layer, &above, &mut columns);
    }
    let left = columns.values().min().copied().unwrap_or(0) - 2 * GAP;
    for block in blocks {
        let (Some(x), Some(layer)) = (columns.get(&block.start), layer_of.get(&block.start)) else {
            continue;
        };
        let layer = i64::try_from(*layer).unwrap_or(0);
        places.insert(
            block.start,
            (x - left, top + GAP / 2 + layer * (HEIGHT + GAP)),
        );
    }
    top + i64::try_from(layers.len()).unwrap_or(0) * (HEIGHT + GAP)
}

/// Each block below the middle of what leads to it, as far as there is room.
fn place_layer(
    layer: &[&cfg::Block],
    above: &BTreeMap<InsnIdx, Vec<InsnIdx>>,
    columns: &mut BTreeMap<InsnIdx, i64>,
) {
    let wish = |block: &cfg::Block| {
        let from = above.get(&block.start).into_iter().flatten();
        let from: Vec<i64> = from.filter_map(|at| columns.get(at).copied()).collect();
        let count = i64::try_from(from.len()).unwrap_or(1).max(1);
        from.iter().sum::<i64>() / count
    };
    let mut wishes: Vec<(i64, InsnIdx)> = layer.iter().map(|one| (wish(one), one.start)).collect();
    wishes.sort_unstable();
    let mut free = i64::MIN;
    let mut late = 0;
    let mut placed = Vec::new();
    for (wish, start) in &wishes {
        let x = (*wish).max(free);
        free = x + WIDTH + GAP;
        late += x - wish;
        placed.push((*start, x));
    }
    // Half of those that had to move go to the left.
    let shift = late / i64::try_from(placed.len()).unwrap_or(1).max(1);
    columns.extend(placed.into_iter().map(|(start, x)| (start, x - shift)));
}

fn one_edge(
    article: &Article<'_>,
    block: &cfg::Block,
    next: InsnIdx,
    places: &BTreeMap<InsnIdx, Corner>,
) -> String {
    let (Some(from), Some(to)) = (places.get(&block.start), places.get(&next)) else {
        return String::new();
    };
    let is_back = to.1 <= from.1;
    let class = match article.is_reached(block.start) && article.is_reached(next) {
        false => "edge dead",
        true if is_back => "edge back",
        true => "edge",
    };
    let mut out = String::new();
    let inside = block.start..block.end;
    let marks = article.marks(class, |way| {
        let mut steps = way
            .steps
            .range((block.start, InsnIdx(0))..(block.end, InsnIdx(0)));
        steps.any(|(at, to)| inside.contains(at) && *to == next)
    });
    let _ = writeln!(
        out,
        "<path {marks} data-from=\"{}\" data-to=\"{}\" d=\"{}\"/>",
        block.start.0,
        next.0,
        curve(*from, *to)
    );
    out
}

fn curve((x, y): Corner, (to_x, to_y): Corner) -> String {
    if to_y > y + HEIGHT + GAP {
        // Past the layers between, on the side that is nearer.
        let (from, to) = (y + HEIGHT / 2, to_y + HEIGHT / 2);
        return match to_x < x {
            true => {
                let out = x.min(to_x) - GAP;
                format!("M{x} {from} C{out} {from} {out} {to} {to_x} {to}")
            }
            false => {
                let (x, to_x) = (x + WIDTH, to_x + WIDTH);
                let out = x.max(to_x) + GAP;
                format!("M{x} {from} C{out} {from} {out} {to} {to_x} {to}")
            }
        };
    }
    if to_y <= y {
        // Back, around the left side.
        let (from, to) = (y + HEIGHT / 2, to_y + HEIGHT / 2);
        let left = x.min(to_x) - 2 * GAP;
        return format!("M{x} {from} C{left} {from} {left} {to} {to_x} {to}");
    }
    let (x, to_x) = (x + WIDTH / 2, to_x + WIDTH / 2);
    let from = y + HEIGHT;
    let (a, b) = (from + GAP / 2, to_y - GAP / 2);
    format!("M{x} {from} C{x} {a} {to_x} {b} {to_x} {to_y}")
}
