//! The part of a followed path that a problem depends on.
//!
//! Two passes. Backwards over the path: starting from the registers that the problem is about, which
//! earlier instructions made them what they are (a classic dynamic slice, through moves, spills and
//! calls), and which branches and calls came while they mattered. Then forwards again with the
//! states: a branch belongs to the explanation only when it taught something about a place that
//! matters, and what it taught is put in words. Moves and spills are followed but not shown.
//!
//! For a value that is missing (an uninitialised register, a resource that is not released) the
//! interesting branch is the one after which the instruction that would have helped could not be
//! reached any more.

use crate::cfg;
use crate::explore::Env;
use crate::limits;
use crate::live;
use crate::reason::Reason;
use crate::reject::{Rejection, Way};
use crate::replay::{self, Event, Replay, StackSpan};
use crate::state::State;
use crate::value::{Region, Unreadable, Value};
use crate::words::{Names, bytes, signed};
use alloc::{format, string::String, vec::Vec};
use isa::{AluOp, CallTarget, Insn, InsnIdx, Operand, Reg};

/// One step on the way to a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The instruction.
    pub at: InsnIdx,
    /// For a conditional jump: which way it went.
    pub way: Option<Way>,
    /// What it did.
    pub text: String,
}

/// Call frames.
const FRAMES: usize = abi::limits::CALL_FRAMES as usize;

/// Registers and stack bytes (in granules of four) of all frames.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Places {
    registers: [u16; FRAMES],
    stack: [u128; FRAMES],
}

/// An instruction that may belong to the explanation.
struct Mark {
    /// Position on the path.
    event: usize,
    /// Register that it defines.
    defines: Option<Reg>,
    /// What mattered when it ran: a change of these is worth telling.
    watched: Places,
    /// Told in any case.
    always: Option<String>,
}

/// What led to a problem, in order; empty when the path cannot be followed.
pub(crate) fn of(env: &Env<'_>, rejection: &Rejection) -> Vec<Remark> {
    let Some((events, last)) = replay::events(env, rejection) else {
        return Vec::new();
    };
    let mut slicer = Slicer {
        env,
        events: &events,
        wanted: Places::default(),
        depth: last.state.depth(),
        marks: Vec::new(),
    };
    slicer.want(rejection);
    slicer.backwards();
    slicer.mark_special(rejection);
    slicer.marks.sort_by_key(|mark| mark.event);
    let marks = slicer.marks;
    let remarks = tell(env, rejection, &events, &marks);
    let mut remarks = last_of_each(remarks);
    if let Some(later) = &rejection.origin.later {
        let start = Remark {
            at: later.0,
            way: None,
            text: "this function is called later, when the program has ended".into(),
        };
        remarks.insert(0, start);
    }
    remarks
}

/// The remark nearest to the problem for each instruction.
fn last_of_each(remarks: Vec<Remark>) -> Vec<Remark> {
    let mut kept: Vec<Remark> = Vec::new();
    for remark in remarks.into_iter().rev() {
        if kept.iter().all(|known| known.at != remark.at) {
            kept.push(remark);
        }
    }
    kept.reverse();
    kept
}

struct Slicer<'e, 'a> {
    env: &'e Env<'a>,
    events: &'e [Event],
    wanted: Places,
    /// Frames below this depth are active where the walk is.
    depth: usize,
    marks: Vec<Mark>,
}

impl Slicer<'_, '_> {
    /// Starts with what the problem is about.
    fn want(&mut self, rejection: &Rejection) {
        let mut registers = 0;
        for reg in rejection.kind.subjects().into_iter().flatten() {
            registers |= bit(reg);
        }
        if let (Reason::PointerOffset { .. } | Reason::PointerComparison { .. }, Some(insn)) =
            (&rejection.kind, self.insn(rejection.at))
        {
            registers |= live::registers(insn).1;
        }
        if let Some(wanted) = self.wanted.registers.get_mut(self.depth) {
            *wanted |= registers & !bit(Reg::R10);
        }
    }

    fn insn(&self, at: InsnIdx) -> Option<&Insn> {
        self.env.program.insns.get(at.index())
    }

    fn backwards(&mut self) {
        let events = self.events;
        for (position, event) in events.iter().enumerate().rev() {
            if self.marks.len() >= limits::MARKED_STEPS {
                return;
            }
            if let Some(insn) = self.env.program.insns.get(event.at.index()) {
                self.undo(position, event, insn);
            }
        }
    }

    /// What mattered before the instruction, given what matters after it.
    fn undo(&mut self, position: usize, event: &Event, insn: &Insn) {
        let depth = usize::from(event.depth);
        match insn {
            Insn::JumpIf { .. } | Insn::MayGoto { .. } => self.watch(position, None),
            Insn::Call(CallTarget::Local(_)) if self.is_followed(position, depth) => {
                self.undo_local_call(position, event.at, depth);
            }
            Insn::Call(_) => self.undo_call(position, depth),
            Insn::Exit => {
                let wanted = &mut self.wanted.registers;
                let result = wanted[depth.saturating_sub(1)] & bit(Reg::R0);
                wanted[depth.saturating_sub(1)] &= !0b11_1111;
                wanted[depth] = result;
                self.wanted.stack[depth] = 0;
            }
            Insn::Store { src, .. } => {
                if let Some(span) = event.stack {
                    self.undo_store(position, depth, span, *src);
                }
            }
            Insn::StoreRelease { src, .. } => {
                if let Some(span) = event.stack {
                    self.undo_store(position, depth, span, Operand::Reg(*src));
                }
            }
            _ => self.undo_definition(position, event, insn),
        }
    }

    fn undo_definition(&mut self, position: usize, event: &Event, insn: &Insn) {
        let depth = usize::from(event.depth);
        let (writes, reads) = live::registers(insn);
        let hit = self.wanted.registers[depth] & writes;
        let Some(reg) = Reg::ALL.into_iter().find(|reg| hit & bit(*reg) != 0) else {
            return;
        };
        self.wanted.registers[depth] &= !writes;
        match (insn, event.stack) {
            (Insn::Load { .. } | Insn::LoadAcquire { .. }, Some(span)) => {
                self.wanted.stack[usize::from(span.frame)] |= granules(span);
            }
            // What is loaded from elsewhere is unknown whatever the address.
            (
                Insn::Load { .. }
                | Insn::LoadAcquire { .. }
                | Insn::Atomic { .. }
                | Insn::LoadPacket { .. },
                _,
            ) => {
                self.watch(position, Some(reg));
            }
            (
                Insn::Alu {
                    op: AluOp::Mov,
                    src: Operand::Reg(_),
                    ..
                },
                _,
            ) => {
                self.wanted.registers[depth] |= reads & !bit(Reg::R10);
            }
            _ => {
                self.wanted.registers[depth] |= reads & !bit(Reg::R10);
                self.watch(position, Some(reg));
            }
        }
    }

    fn undo_store(&mut self, position: usize, depth: usize, span: StackSpan, src: Operand) {
        let stack = &mut self.wanted.stack[usize::from(span.frame)];
        let hit = *stack & granules(span);
        if hit == 0 {
            return;
        }
        *stack &= !hit;
        match src {
            Operand::Reg(reg) => self.wanted.registers[depth] |= bit(reg) & !bit(Reg::R10),
            Operand::Imm(_) => self.watch(position, None),
        }
    }

    /// A call of a helper: it may define r0, clobber r1 to r5, write to the stack, move the packet.
    fn undo_call(&mut self, position: usize, depth: usize) {
        if depth < self.depth {
            // Into a callback on this very path: its context was r3.
            self.depth = depth;
            let callee = core::mem::take(&mut self.wanted.registers[depth + 1]);
            self.mark(position, None, Some("calls the function back".into()));
            self.wanted.registers[depth] &= !0b11_1111;
            if callee & bit(Reg::R2) != 0 {
                self.wanted.registers[depth] |= bit(Reg::R3);
            }
            return;
        }
        let wanted = self.wanted.registers[depth];
        let result = (wanted & bit(Reg::R0) != 0).then_some(Reg::R0);
        self.watch(position, result);
        self.wanted.registers[depth] &= !0b11_1111;
    }

    /// Does the path lead into the function that is called here? Otherwise its contract is known.
    fn is_followed(&self, position: usize, depth: usize) -> bool {
        match self.events.get(position + 1) {
            Some(next) => usize::from(next.depth) > depth,
            None => self.depth > depth,
        }
    }

    fn undo_local_call(&mut self, position: usize, at: InsnIdx, depth: usize) {
        let Some(callee) = self.wanted.registers.get_mut(depth + 1) else {
            return;
        };
        let arguments = *callee & 0b11_1110;
        *callee = 0;
        let clobbered = self.wanted.registers[depth] & 0b11_1111;
        self.wanted.registers[depth] = self.wanted.registers[depth] & !0b11_1111 | arguments;
        let is_active = depth < self.depth;
        if is_active {
            self.depth = depth;
        }
        if is_active || clobbered != 0 {
            let callee = self.insn(at).and_then(|insn| cfg::call_target(at, insn));
            let function = callee.and_then(|start| self.env.program.function_at(start));
            let name = function.map_or("a function", |function| function.name.as_str());
            let always = Some(format!("calls {name}"));
            self.mark(position, None, always);
        }
    }

    fn watch(&mut self, position: usize, defines: Option<Reg>) {
        if defines.is_some() || self.wanted != Places::default() {
            self.mark(position, defines, None);
        }
    }

    fn mark(&mut self, event: usize, defines: Option<Reg>, always: Option<String>) {
        self.marks.push(Mark {
            event,
            defines,
            watched: self.wanted,
            always,
        });
    }

    /// Marks that do not come from a register.
    fn mark_special(&mut self, rejection: &Rejection) {
        match &rejection.kind {
            Reason::NotReleased { acquired, .. } => {
                let helps = |insn: &Insn| is_release(self.env, insn);
                let marks = self.turning_points(&helps);
                let position = self.events.iter().rposition(|event| event.at == *acquired);
                if let Some(position) = position {
                    self.mark(position, Some(Reg::R0), None);
                    self.tell_always(marks, position, "from here on it is not released any more");
                }
            }
            Reason::Unreadable {
                reg,
                why: Unreadable::Uninitialised | Unreadable::NotPassed,
            } => {
                let helps = |insn: &Insn| live::registers(insn).0 & bit(*reg) != 0;
                let marks = self.turning_points(&helps);
                let text = format!("from here on {reg} is not written any more");
                self.tell_always(marks, 0, &text);
            }
            Reason::StackUninitialised { offset, .. } => {
                let helps = |insn: &Insn| stores_to(insn, *offset);
                let marks = self.turning_points(&helps);
                let text = format!("from here on r10{offset:+} is not written any more");
                self.tell_always(marks, 0, &text);
            }
            Reason::EndlessLoop => self.mark_loop(rejection.at),
            _ => {}
        }
    }

    fn tell_always(&mut self, positions: Vec<usize>, after: usize, text: &str) {
        for position in positions.into_iter().filter(|position| *position >= after) {
            self.marks.retain(|mark| mark.event != position);
            self.mark(position, None, Some(text.into()));
        }
    }

    /// Branches on the path after which no helping instruction can be reached, though one could have
    /// been on the other way.
    fn turning_points(&self, helps: &dyn Fn(&Insn) -> bool) -> Vec<usize> {
        let reaches = reaches(self.env, helps);
        let can = |at: InsnIdx| reaches.get(at.index()).copied().unwrap_or(false);
        let turns = |event: &Event| {
            let Some(insn) = self.insn(event.at) else {
                return false;
            };
            let [Some(next), Some(target)] = cfg::successors(event.at, insn) else {
                return false;
            };
            match event.way {
                Some(Way::Taken) => can(next) && !can(target),
                Some(Way::FallThrough) => can(target) && !can(next),
                None => false,
            }
        };
        let events = self.events.iter().enumerate();
        events
            .filter(|(_, event)| turns(event))
            .map(|(position, _)| position)
            .collect()
    }

    /// The branches of the last round of a loop through `head`.
    fn mark_loop(&mut self, head: InsnIdx) {
        let start = self.events.iter().rposition(|event| event.at == head);
        let Some(start) = start else { return };
        let round = start..self.events.len();
        let branches: Vec<usize> = round
            .filter(|position| self.events[*position].way.is_some())
            .collect();
        if branches.is_empty() {
            let text = "goes back; no branch in the loop leaves it";
            self.tell_always(alloc::vec![self.events.len() - 1], 0, text);
            return;
        }
        let text = "the loop goes on, with the same values as a round before";
        self.tell_always(branches, 0, text);
    }
}

/// From which slots some instruction that helps can be reached, within functions.
fn reaches(env: &Env<'_>, helps: &dyn Fn(&Insn) -> bool) -> Vec<bool> {
    let insns = &env.program.insns;
    let mut before: Vec<Vec<InsnIdx>> = alloc::vec![Vec::new(); insns.len()];
    let mut reaches = alloc::vec![false; insns.len()];
    let mut work = Vec::new();
    for (at, insn) in cfg::instructions(env.program) {
        for next in cfg::successors(at, insn).into_iter().flatten() {
            if let Some(list) = before.get_mut(next.index()) {
                list.push(at);
            }
        }
        if helps(insn) {
            reaches[at.index()] = true;
            work.push(at);
        }
    }
    while let Some(at) = work.pop() {
        for earlier in core::mem::take(&mut before[at.index()]) {
            if !reaches[earlier.index()] {
                reaches[earlier.index()] = true;
                work.push(earlier);
            }
        }
    }
    reaches
}

fn is_release(env: &Env<'_>, insn: &Insn) -> bool {
    let Insn::Call(CallTarget::Helper(id)) = insn else {
        return false;
    };
    u32::try_from(*id)
        .ok()
        .and_then(|id| abi::helper::lookup(env.program.program_type, id))
        .is_some_and(|helper| helper.releases)
}

/// Does it store to this byte of the own frame, through r10?
fn stores_to(insn: &Insn, byte: i64) -> bool {
    let Insn::Store {
        size,
        base: Reg::R10,
        offset,
        ..
    } = insn
    else {
        return false;
    };
    let low = i64::from(*offset);
    (low..low + i64::from(size.bytes())).contains(&byte)
}

const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

/// Granules of four bytes that a span touches; the first is next to r10.
fn granules(span: StackSpan) -> u128 {
    let low = i32::from(span.low);
    let high = low + i32::from(span.size);
    let (first, last) = ((-high) / 4, (-low - 1) / 4);
    (first.max(0)..=last.min(127)).fold(0, |set, at| set | 1 << at)
}

/// Follows the path once more and puts in words what the marked instructions did.
fn tell(env: &Env<'_>, rejection: &Rejection, events: &[Event], marks: &[Mark]) -> Vec<Remark> {
    let names = Names(Some(env.object));
    let mut replay = Replay::new(env, rejection);
    let mut remarks = Vec::new();
    let mut marks = marks.iter().peekable();
    for (position, event) in events.iter().enumerate() {
        let Some(mark) = marks.next_if(|mark| mark.event == position) else {
            if marks.peek().is_none() || replay.advance(rejection.at).is_none() {
                break;
            }
            continue;
        };
        let before = replay.state.clone();
        if replay.advance(rejection.at).is_none() {
            break;
        }
        let text = mark.always.clone();
        let text = text
            .or_else(|| what_happened(names, mark, event, (&before, &replay.state)))
            .or_else(|| vain_comparison(env, rejection, event, &before));
        remarks.extend(text.map(|text| Remark {
            at: event.at,
            way: event.way,
            text,
        }));
        while marks.next_if(|mark| mark.event == position).is_some() {}
    }
    remarks
}

fn what_happened(
    names: Names<'_>,
    mark: &Mark,
    event: &Event,
    (before, after): (&State, &State),
) -> Option<String> {
    if let Some(reg) = mark.defines {
        let value = after.frame(event.depth)?.register(reg);
        return Some(format!("{reg} is {}", names.of(&value)));
    }
    let changes = mark.watched.changed(before, after);
    // Copies of one number learn the same.
    let mut texts: Vec<String> = Vec::new();
    for (place, old, new) in changes {
        let text = learned(names, &place, &old, &new);
        if !texts.contains(&text) && texts.len() < 2 {
            texts.push(text);
        }
    }
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// A comparison with the end of the packet that proves nothing about a packet access.
fn vain_comparison(
    env: &Env<'_>,
    rejection: &Rejection,
    event: &Event,
    before: &State,
) -> Option<String> {
    let (Reason::PacketBounds(_), Some(Insn::JumpIf { dst, src, .. })) =
        (&rejection.kind, env.program.insns.get(event.at.index()))
    else {
        return None;
    };
    let Operand::Reg(src) = src else { return None };
    let region = |reg: &Reg| Some(before.top().register(*reg).pointer()?.region);
    match (region(dst)?, region(src)?) {
        (Region::Packet { .. }, Region::PacketEnd) | (Region::PacketEnd, Region::Packet { .. }) => {
            Some("this way, nothing is learned about the access below".into())
        }
        _ => None,
    }
}

impl Places {
    /// What changed of these places, the topmost frame first.
    fn changed(&self, before: &State, after: &State) -> Vec<(String, Value, Value)> {
        let mut changes = Vec::new();
        for depth in (0..FRAMES).rev() {
            let Ok(frame) = u8::try_from(depth) else {
                continue;
            };
            let (Some(old), Some(new)) = (before.frame(frame), after.frame(frame)) else {
                continue;
            };
            for reg in Reg::ALL {
                let (old, new) = (old.register(reg), new.register(reg));
                if self.registers[depth] & bit(reg) != 0 && !is_same(&old, &new) {
                    changes.push((format!("{reg}"), old, new));
                }
            }
            for slot in 0..abi::limits::STACK_BYTES as usize / 8 {
                let offset = -8 * (slot as i64 + 1);
                let (Ok(old), Ok(new)) = (old.stack.read(offset, 8), new.stack.read(offset, 8))
                else {
                    continue;
                };
                if self.stack[depth] & (0b11 << (2 * slot)) != 0 && !is_same(&old, &new) {
                    changes.push((format!("the value at r10{offset:+}"), old, new));
                }
            }
        }
        changes
    }
}

/// The same as far as a reader is concerned.
fn is_same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number { scalar: old, .. }, Value::Number { scalar: new, .. }) => old == new,
        (Value::Pointer(old), Value::Pointer(new)) => {
            old.region == new.region
                && old.fixed == new.fixed
                && old.var == new.var
                && (old.null == 0) == (new.null == 0)
        }
        _ => old == new,
    }
}

fn learned(names: Names<'_>, place: &str, old: &Value, new: &Value) -> String {
    match (old, new) {
        (Value::Pointer(old), Value::Pointer(new)) => {
            if old.null != 0 && new.null == 0 {
                return format!("{place} is not NULL");
            }
            match new.region {
                Region::Packet { id: 0, range } => {
                    format!("{} of the packet are known to exist", bytes(range.into()))
                }
                Region::Packet { range, .. } | Region::PacketMeta { range, .. } => {
                    known_behind(place, i64::from(range).saturating_sub(new.fixed.into()))
                }
                _ => format!("{place} is {}", names.of(&Value::Pointer(*new))),
            }
        }
        (Value::Pointer(_), new) if new.is_zero() => format!("{place} is NULL"),
        (_, Value::Unreadable(Unreadable::PacketMoved(_))) => {
            format!("may move the packet: {place} must not be used any more")
        }
        (_, Value::Unreadable(Unreadable::Clobbered)) => format!("does not keep {place}"),
        (_, new) => format!("{place} is {}", names.of(new)),
    }
}

fn known_behind(place: &str, count: i64) -> String {
    match count {
        0 => format!("{place} is at most data_end: nothing is known behind it"),
        _ if count < 0 => format!(
            "the bytes up to {place} {} are known to exist",
            signed(count)
        ),
        _ => format!("{} behind {place} are known to exist", bytes(count)),
    }
}
