//! The abstract state on one path: call frames, held references, the held lock.
//!
//! Frames, chunks of their stacks and most values are shared between states until one of them
//! changes (copy on write), so that putting a branch aside is cheap. Values are kept packed.

use crate::domain::Scalar;
use crate::limits;
use crate::link::Link;
use crate::packed::{NOTHING, Packed};
use crate::places::{Places, bit};
use crate::stack::{Half, Slot, Stack};
use crate::sums::PacketSum;
use crate::totals::Total;
use crate::value::{Pointer, Region, Unreadable, Value};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use isa::{InsnIdx, Reg};
use program::MapId;

/// Why a function runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// As the main program, or called by an instruction.
    Called,
    /// A helper calls it before it returns.
    CalledBack {
        /// Which call of the helper, as the analysis counts.
        invocation: u32,
        /// Largest result that the helper takes.
        most: u32,
    },
    /// It is judged by its contract, whoever calls it.
    ByContract {
        /// It returns a number.
        returns: bool,
    },
    /// Something calls it when the program has ended.
    Later {
        /// Largest result that may be returned.
        most: u32,
    },
}

/// One running function.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Index of the function.
    pub(crate) function: usize,
    /// Its call instruction; meaningless in the main program.
    pub(crate) call: InsnIdx,
    /// Why it runs.
    pub(crate) role: Role,
    /// Number of this very run of the function: says that two states on one path are in one run.
    /// Says nothing about what they allow, so it is not compared when states are.
    pub(crate) run: u32,
    registers: [Packed; Reg::COUNT],
    /// Its stack.
    pub(crate) stack: Stack,
}

/// A resource that must be released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    /// Number that pointers to it carry.
    pub(crate) id: u32,
    /// The call that acquired it.
    pub(crate) acquired: InsnIdx,
}

/// A number that is the distance from a packet pointer to the end of the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Distance {
    /// Link of the number, which is whole and has no offset.
    pub(crate) link: u32,
    /// Which unknown offset the pointer has.
    pub(crate) packet: u32,
    /// Its known offset.
    pub(crate) fixed: i32,
}

/// A held spin lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lock {
    /// Map of the element it lies in.
    pub(crate) map: MapId,
    /// The element.
    pub(crate) object: u32,
}

/// An abstract state.
#[derive(Clone, Debug)]
pub(crate) struct State {
    frames: Vec<Rc<Frame>>,
    /// Held references in the order they were acquired.
    pub(crate) references: Vec<Reference>,
    /// The held lock.
    pub(crate) lock: Option<Lock>,
    /// Numbers that say how long the packet is.
    pub(crate) distances: Vec<Distance>,
    /// Packet pointers that are others moved by a number.
    pub(crate) sums: Vec<PacketSum>,
    /// Numbers that are the sum of two others.
    pub(crate) totals: Vec<Total>,
}

impl Frame {
    /// A frame at the start of its function, with nothing in the registers but r10.
    pub(crate) fn new(function: usize, call: InsnIdx, depth: usize) -> Frame {
        let mut frame = Frame {
            function,
            call,
            role: Role::Called,
            run: 0,
            registers: [NOTHING; Reg::COUNT],
            stack: Stack::default(),
        };
        let top = Pointer::to(Region::Stack { frame: depth as u8 });
        frame.set(Reg::R10, Value::Pointer(top));
        frame
    }

    /// What a register holds.
    pub(crate) fn register(&self, reg: Reg) -> Value {
        self.packed(reg).value()
    }

    /// What a register holds, as it is stored.
    pub(crate) fn packed(&self, reg: Reg) -> &Packed {
        &self.registers[reg.index()]
    }

    /// Sets a register.
    pub(crate) fn set(&mut self, reg: Reg, value: Value) {
        self.registers[reg.index()] = Packed::from(value);
    }

    /// Is one of its values selected?
    pub(crate) fn any(&self, hit: impl Fn(&Packed) -> bool) -> bool {
        self.registers.iter().any(&hit) || self.stack.any(hit)
    }

    /// Where the values are that `hit` selects.
    pub(crate) fn places(&self, hit: impl Fn(&Packed) -> bool) -> Places {
        let registers = Reg::ALL.into_iter().filter(|reg| hit(self.packed(*reg)));
        Places {
            registers: registers.fold(0, |bits, reg| bits | bit(reg)),
            stack: self.stack.granules(hit),
        }
    }

    fn update(&mut self, hit: impl Fn(&Packed) -> bool, change: impl Fn(&mut Packed)) {
        for value in self.registers.iter_mut().filter(|value| hit(value)) {
            change(value);
        }
        self.stack.update(hit, change);
    }
}

impl State {
    /// The state at the entry of a program: r1 is the context.
    pub(crate) fn entry() -> State {
        let mut frame = Frame::new(0, InsnIdx(0), 0);
        for reg in Reg::ARGS {
            frame.set(reg, Value::Unreadable(Unreadable::NotPassed));
        }
        frame.set(Reg::R1, Value::Pointer(Pointer::to(Region::Context)));
        State::of(frame)
    }

    /// The state at the start of a function that has no caller.
    pub(crate) fn of(frame: Frame) -> State {
        State {
            frames: alloc::vec![Rc::new(frame)],
            references: Vec::new(),
            lock: None,
            distances: Vec::new(),
            sums: Vec::new(),
            totals: Vec::new(),
        }
    }

    /// Depth of the running function; 0 is the main program.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// The frames, the main program's first.
    pub(crate) fn frames(&self) -> &[Rc<Frame>] {
        &self.frames
    }

    /// The running function's frame.
    #[expect(
        clippy::expect_used,
        reason = "a state always has the main program's frame"
    )]
    pub(crate) fn top(&self) -> &Frame {
        self.frames.last().expect("a frame")
    }

    /// The running function's frame, to change it.
    #[expect(
        clippy::expect_used,
        reason = "a state always has the main program's frame"
    )]
    pub(crate) fn top_mut(&mut self) -> &mut Frame {
        Rc::make_mut(self.frames.last_mut().expect("a frame"))
    }

    /// A frame by depth.
    pub(crate) fn frame(&self, depth: u8) -> Option<&Frame> {
        self.frames.get(usize::from(depth)).map(|frame| &**frame)
    }

    /// A frame by depth, to change it.
    pub(crate) fn frame_mut(&mut self, depth: u8) -> Option<&mut Frame> {
        self.frames.get_mut(usize::from(depth)).map(Rc::make_mut)
    }

    /// Enters a function.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push(Rc::new(frame));
    }

    /// Leaves a function: its call instruction, or `None` in the main program. What still points
    /// into its stack becomes unreadable.
    pub(crate) fn pop(&mut self) -> Option<InsnIdx> {
        if self.frames.len() <= 1 {
            return None;
        }
        let left = self.frames.pop()?;
        let depth = self.frames.len();
        self.update_pointers(
            |pointer| pointer.is_in_frames_from(depth),
            |_| Value::Unreadable(Unreadable::FrameLeft),
        );
        Some(left.call)
    }

    /// Changes every value, in all frames, that `hit` selects.
    fn update(&mut self, hit: impl Fn(&Packed) -> bool, change: impl Fn(&mut Packed)) {
        for frame in &mut self.frames {
            if frame.any(&hit) {
                Rc::make_mut(frame).update(&hit, &change);
            }
        }
    }

    /// Changes every pointer, in all frames, that `hit` selects.
    pub(crate) fn update_pointers(
        &mut self,
        hit: impl Fn(&Pointer) -> bool,
        change: impl Fn(Pointer) -> Value,
    ) {
        self.update(
            |value| value.pointer().is_some_and(&hit),
            |value| {
                if let Packed::Pointer(pointer) = value {
                    *value = Packed::from(change(**pointer));
                }
            },
        );
    }

    /// Forgets what frame `depth` will not read: registers not in the bit set `registers`, stack
    /// granules not in `stack`.
    pub(crate) fn keep(&mut self, depth: usize, registers: u16, stack: u128) {
        let Some(frame) = self.frames.get_mut(depth) else {
            return;
        };
        let dead = |frame: &Frame, reg: Reg| {
            let live = registers & (1 << reg.number()) != 0 || reg == Reg::R10;
            !live && *frame.packed(reg) != NOTHING
        };
        let is_kept = !Reg::ALL.into_iter().any(|reg| dead(frame, reg));
        if is_kept && frame.stack.is_kept(stack) {
            return;
        }
        let frame = Rc::make_mut(frame);
        for reg in Reg::ALL {
            if dead(frame, reg) {
                frame.registers[reg.index()] = NOTHING;
            }
        }
        frame.stack.keep(stack);
    }

    /// A number with this link turns out to be `scalar`: all that follow from it become narrower.
    pub(crate) fn relink(&mut self, learned: Link, scalar: &Scalar) {
        if !learned.is_some() {
            return;
        }
        self.update(
            |value| value.link_id() == learned.id,
            |value| match value.value() {
                Value::Number { scalar: old, link } => {
                    *value = Packed::number(&narrowed(&old, learned, scalar, link), link);
                }
                Value::Pointer(pointer) => {
                    let var = narrowed(&pointer.var, learned, scalar, pointer.link);
                    // As numbers: a constant keeps no link.
                    let link = match var.is_const() {
                        Some(_) => Link::NONE,
                        None => pointer.link,
                    };
                    *value = Packed::from(Value::Pointer(Pointer {
                        var,
                        link,
                        ..pointer
                    }));
                }
                Value::Unreadable(_) => {}
            },
        );
        self.learn_distance(learned, scalar);
        self.learn_sums(learned, scalar);
        self.learn_totals(learned, scalar);
    }

    /// The number may say how long the packet is.
    fn learn_distance(&mut self, learned: Link, scalar: &Scalar) {
        let known = self.distances.iter().find(|known| known.link == learned.id);
        if let Some(known) = known.copied() {
            let Distance { packet, fixed, .. } = known;
            let distance = narrowed(&known.range(), learned, scalar, Link::to(learned.id));
            // `end - (base + fixed) >= least` means `base + fixed + least <= end`.
            let bytes = i64::from(fixed).saturating_add(distance.smin());
            if bytes <= limits::PACKET_BYTES {
                self.prove_packet(
                    Region::Packet {
                        id: packet,
                        range: 0,
                    },
                    bytes,
                );
            }
        }
    }

    /// All pointers with the same unknown offset have at least these bytes.
    pub(crate) fn prove_packet(&mut self, region: Region, bytes: i64) {
        let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes > 0) else {
            return;
        };
        self.update_pointers(
            |pointer| match (pointer.region, region) {
                (Region::Packet { id, range }, Region::Packet { id: of, .. })
                | (Region::PacketMeta { id, range }, Region::PacketMeta { id: of, .. }) => {
                    id == of && range < bytes
                }
                _ => false,
            },
            |mut pointer| {
                if let Region::Packet { range, .. } | Region::PacketMeta { range, .. } =
                    &mut pointer.region
                {
                    *range = bytes;
                }
                Value::Pointer(pointer)
            },
        );
    }

    /// Forgets distances that no number holds any more.
    pub(crate) fn keep_distances(&mut self) {
        let frames = &self.frames;
        self.distances.retain(|known| {
            frames
                .iter()
                .any(|frame| frame.any(|value| value.link_id() == known.link))
        });
    }

    /// The packet was moved: pointers into it are dead.
    pub(crate) fn move_packet(&mut self, at: InsnIdx) {
        self.distances.clear();
        self.sums.clear();
        self.update_pointers(Pointer::moves, |_| {
            Value::Unreadable(Unreadable::PacketMoved(at))
        });
    }

    /// Gives up a reference. False when it is not held.
    pub(crate) fn release(&mut self, id: u32, at: InsnIdx) -> bool {
        let Some(position) = self.references.iter().position(|held| held.id == id) else {
            return false;
        };
        self.references.remove(position);
        self.update_pointers(
            |pointer| pointer.reference() == id,
            |_| Value::Unreadable(Unreadable::Released(at)),
        );
        true
    }

    /// Stack bytes get other contents than a slice would leave there: slices that may be these bytes
    /// are given up.
    pub(crate) fn take_back_buffer(&mut self, (frame, low, high): (u8, i64, i64), at: InsnIdx) {
        self.update_pointers(
            |pointer| match pointer.region {
                Region::Slice(slice) => slice.overlaps(frame, low, high),
                _ => false,
            },
            |_| Value::Unreadable(Unreadable::DynptrLost(at)),
        );
    }

    /// A dynamic pointer is overwritten: both halves of it and its slices are gone.
    pub(crate) fn lose_dynptr(&mut self, id: u32, at: InsnIdx) {
        self.update_pointers(
            |pointer| match pointer.region {
                Region::Dynptr(dynptr) => dynptr.id == id,
                Region::Slice(slice) => slice.dynptr == id,
                _ => false,
            },
            |_| Value::Unreadable(Unreadable::DynptrLost(at)),
        );
    }

    /// The pointers with this null number turn out not to be NULL.
    pub(crate) fn assume_not_null(&mut self, null: u32) {
        self.update_pointers(
            |pointer| pointer.null == null,
            |pointer| Value::Pointer(Pointer { null: 0, ..pointer }),
        );
    }

    /// The pointers with this null number turn out to be NULL: numbers, and nothing to release.
    pub(crate) fn assume_null(&mut self, null: u32) {
        self.update_pointers(|pointer| pointer.null == null, |_| Value::constant(0));
        // An acquiring helper gives its reference the same number.
        self.references.retain(|held| held.id != null);
    }

    /// The readable registers of the running function.
    pub(crate) fn readable_registers(&self) -> Vec<(Reg, Value)> {
        let top = self.top();
        Reg::ALL
            .into_iter()
            .map(|reg| (reg, top.register(reg)))
            .filter(|(_, value)| value.is_readable())
            .collect()
    }
}

impl Distance {
    /// Which numbers the distance can be: a packet does not end before it starts.
    pub(crate) fn range(&self) -> Scalar {
        if self.packet == 0 && self.fixed <= 0 {
            Scalar::from_range_s(0, i64::MAX)
        } else {
            Scalar::UNKNOWN
        }
    }
}

/// What the number of a place with the link `link` can be when one with `learned` is `scalar`. Where
/// both contradict each other nothing runs, and any answer is right.
fn narrowed(old: &Scalar, learned: Link, scalar: &Scalar, link: Link) -> Scalar {
    old.meet(&learned.infer(scalar, link)).unwrap_or(*old)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.top();
        let mut list = List { f, separator: "" };
        for reg in Reg::ALL {
            let value = top.register(reg);
            if value.is_readable() && reg != Reg::R10 {
                list.item(format_args!("{reg} = {value}"))?;
            }
        }
        for (index, slot) in top.stack.slots() {
            list.slot(8 * (index + 1), slot)?;
        }
        for held in &self.references {
            list.item(format_args!("holds a reference from {}", held.acquired))?;
        }
        Ok(())
    }
}

/// Items on one line, separated by semicolons.
struct List<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    separator: &'static str,
}

impl List<'_, '_> {
    fn item(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        write!(self.f, "{}{item}", self.separator)?;
        self.separator = "; ";
        Ok(())
    }

    /// The stack slot `offset` bytes below r10; nothing when its content is unknown.
    fn slot(&mut self, offset: usize, slot: &Slot) -> fmt::Result {
        match slot {
            Slot::Whole(value) => self.item(format_args!("[r10-{offset}] = {}", value.value())),
            Slot::Halves(halves) => {
                for (half, place) in halves.iter().zip([offset, offset - 4]) {
                    if let Half::Number(number) = half {
                        self.item(format_args!("[r10-{place}] = {}", number.value()))?;
                    }
                }
                Ok(())
            }
            Slot::Bytes(_) => Ok(()),
        }
    }
}
