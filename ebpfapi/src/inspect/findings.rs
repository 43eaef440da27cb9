//! What the verifier found out about a program: dead instructions, lookups in a map that is always the
//! same.

use super::instructions;
use abi::{ReturnKind, helper};
use isa::{CallTarget, Insn, InsnIdx};
use program::{MapDef, MapId, Object, Program};
use verifier::Facts;

/// A call that looks something up.
#[derive(Clone, Copy, Debug)]
pub struct MapLookup<'o> {
    /// The call.
    pub at: InsnIdx,
    /// Number of the helper.
    pub helper: u32,
    /// The map, on every path.
    pub map: &'o MapDef,
    /// The map is only what the maps inside another one are like.
    pub is_template: bool,
}

/// The lookups of a program that was verified, in its entry function, for which it is known which map they
/// go to.
#[must_use]
pub fn map_lookups<'o>(object: &'o Object, program: &Program, facts: &Facts) -> Vec<MapLookup<'o>> {
    let end = program.functions.first().map_or(InsnIdx(0), |one| one.end);
    let lookup = |(at, insn): (InsnIdx, &Insn)| {
        let Insn::Call(CallTarget::Helper(id)) = *insn else {
            return None;
        };
        let id = u32::try_from(id).ok()?;
        let row = helper::lookup(program.program_type, id)?;
        let fact = facts.insns.get(usize::try_from(at.0).ok()?)?;
        let map = fact.map.filter(|_| row.ret == ReturnKind::MapValueOrNull)?;
        Some(MapLookup {
            at,
            helper: id,
            map: object.maps.get(usize::from(map.0))?,
            is_template: is_template(object, map),
        })
    };
    let entry = instructions(program).take_while(|(at, _)| *at < end);
    entry.filter_map(lookup).collect()
}

/// How many instructions no path leads to.
#[must_use]
pub fn dead_instructions(program: &Program, facts: &Facts) -> usize {
    let is_reached = |at: InsnIdx| {
        let fact = usize::try_from(at.0)
            .ok()
            .and_then(|at| facts.insns.get(at));
        fact.is_some_and(|fact| fact.reached)
    };
    let all = instructions(program);
    all.filter(|(at, _)| !is_reached(*at)).count()
}

fn is_template(object: &Object, map: MapId) -> bool {
    object.maps.iter().any(|other| other.inner == Some(map))
}
