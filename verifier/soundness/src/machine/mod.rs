//! A machine that notices everything: pointers are not numbers, each byte is known to be written
//! or not, and objects die.
//!
//! It is the concrete semantics that the verifier's proof is about, written without looking at the
//! verifier: a word is nothing, a number, or a pointer with its object; memory that others can
//! change (maps, packets, records) answers every load with another number; helpers are played by
//! their prototypes, with any result that a prototype allows. Whatever a safe program must not do
//! is a [`Fault`]. What is left out: time, other processors (their stores are the changing numbers),
//! and what a helper does beyond its prototype.

mod call;
mod callback;
mod dynptr;
mod facts;
mod kernel;
mod memory;
mod step;

use crate::random::Random;
use abi::DynptrKind;
use abi::context::SocketKind;
use callback::Rounds;
use isa::{InsnIdx, Reg};
use program::MapId;
use std::collections::BTreeMap;
use verifier::Verified;
use verifier::value::{Kernel, Trust};

/// What a program did that it must not do; or [`NOT_MODELLED`].
pub type Fault = &'static str;

/// The machine cannot play this; it says nothing about the program.
pub const NOT_MODELLED: Fault = "something that is not modelled";

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Nothing that may be read.
    Nothing,
    /// A number.
    Number(u64),
    /// A pointer.
    Pointer(Address),
}

/// A place in an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Which object.
    pub object: ObjectId,
    /// Bytes from its origin; the origin of a stack frame is its end, that of a packet its data.
    pub offset: i64,
}

/// An object of the machine; numbers are never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ObjectId(u32);

/// The context is always the first object.
pub(crate) const CONTEXT: Address = Address {
    object: ObjectId(0),
    offset: 0,
};

/// One byte of a stack frame or a constant map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cell {
    /// Never written.
    Nothing,
    Byte(u8),
    /// A byte of a stored pointer: which of the stored pointers, and which byte.
    Part {
        stored: u32,
        index: u8,
    },
    /// A byte of a dynamic pointer.
    Dynptr {
        dynptr: ObjectId,
        index: u8,
    },
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The context structure.
    Context,
    /// A stack frame.
    Stack,
    /// Packet data and metadata. Without data, its pointers are NULL.
    Packet {
        /// Offset of the end of the data.
        end: i64,
    },
    /// The value of a map element.
    MapValue(MapId),
    /// The key of a map element, read-only.
    Key(MapId),
    /// A map, or one like it that was found in a map.
    Map {
        /// The map or the template.
        map: MapId,
        /// Found in another map.
        inner: bool,
    },
    /// A record obtained from the platform.
    Memory,
    /// A socket.
    Socket(SocketKind),
    /// An object of the kernel.
    Kernel {
        /// What it is.
        ty: Kernel,
        /// How sure that is.
        trust: Trust,
        /// The pointer to it is NULL, which nobody noticed.
        null: bool,
    },
    /// A function of the program.
    Function(InsnIdx),
    /// A dynamic pointer, wherever it lies.
    Dynptr(DynptrKind),
    /// Memory that was got through a dynamic pointer.
    Slice {
        /// That one.
        dynptr: ObjectId,
        /// It may be written.
        writable: bool,
    },
}

/// Something that pointers point to.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) alive: bool,
    /// Offset of the first byte.
    pub(crate) base: i64,
    pub(crate) size: i64,
    /// Contents, where they matter: stack frames and constant maps.
    cells: Vec<Cell>,
    /// Must be released.
    pub(crate) held: bool,
    /// The object that it goes with.
    pub(crate) of: Option<ObjectId>,
}

/// A running function.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) registers: [Word; Reg::COUNT],
    pub(crate) stack: ObjectId,
    /// The instruction that called it.
    pub(crate) call: InsnIdx,
    /// Its first instruction.
    start: InsnIdx,
    /// Set when a helper called it.
    back: Option<Rounds>,
}

/// The machine with one program in it.
pub struct Machine<'a, 'r> {
    verified: &'a Verified<'a>,
    random: &'r mut Random,
    objects: Vec<Object>,
    /// Pointers on stacks, named by cells.
    stored: Vec<Word>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) packet: ObjectId,
    pub(crate) lock: Option<Address>,
    /// The element that a program addresses directly, by map.
    direct: BTreeMap<MapId, ObjectId>,
    maps: BTreeMap<MapId, ObjectId>,
    /// Functions that run when the program has ended.
    later: Vec<Rounds>,
    /// Numbers that the program compares with: inputs near them reach more of it.
    numbers: Vec<u64>,
}

/// Objects of one run: a program that looks things up for ever must not fill the memory.
const MAX_OBJECTS: usize = 1 << 16;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With `exit` or a tail call.
    Exit,
    /// Not modelled any further.
    NotModelled,
    /// Stopped before the end, here.
    Stopped(InsnIdx),
}

impl<'a, 'r> Machine<'a, 'r> {
    /// A machine at the entry of a program, with an input made of random numbers.
    pub fn new(verified: &'a Verified<'a>, random: &'r mut Random) -> Machine<'a, 'r> {
        let mut machine = Machine {
            verified,
            numbers: step::constants(verified.program()),
            random,
            objects: Vec::new(),
            stored: Vec::new(),
            frames: Vec::new(),
            packet: CONTEXT.object,
            lock: None,
            direct: BTreeMap::new(),
            maps: BTreeMap::new(),
            later: Vec::new(),
        };
        let size = i64::from(verified.program().program_type.context.size);
        machine.add(Kind::Context, 0, size);
        machine.new_packet();
        let mut arguments = [Word::Nothing; 5];
        arguments[0] = Word::Pointer(CONTEXT);
        // The first frame is never too deep.
        let _ = machine.enter((InsnIdx(0), InsnIdx(0)), arguments);
        machine
    }

    /// Runs to the end, for at most `steps` instructions; `watch` sees the machine before each.
    ///
    /// # Errors
    /// What went wrong, and where. A fault that `watch` reports is handed through.
    pub fn run(
        &mut self,
        steps: usize,
        mut watch: impl FnMut(InsnIdx, &Machine<'_, '_>) -> Result<(), String>,
    ) -> Result<End, (InsnIdx, String)> {
        let mut at = InsnIdx(0);
        for _ in 0..steps {
            watch(at, self).map_err(|why| (at, why))?;
            match self.step(at) {
                Ok(Some(next)) => at = next,
                Ok(None) => return Ok(End::Exit),
                Err(NOT_MODELLED) => return Ok(End::NotModelled),
                Err(fault) => return Err((at, fault.into())),
            }
        }
        Ok(End::Stopped(at))
    }

    /// The program that runs.
    pub(crate) fn program(&self) -> &'a program::Program {
        self.verified.program()
    }

    /// Is a function running that may have been proved by its contract, without its callers?
    pub(crate) fn is_in_contract(&self) -> bool {
        let functions = &self.program().functions;
        let by_contract = |start: InsnIdx| {
            let function = functions.iter().find(|function| function.start == start);
            function.is_some_and(|function| function.contract.is_some())
        };
        self.frames
            .iter()
            .skip(1)
            .any(|frame| by_contract(frame.start))
    }

    pub(crate) fn object(&self, id: ObjectId) -> &Object {
        &self.objects[id.0 as usize]
    }

    fn object_mut(&mut self, id: ObjectId) -> &mut Object {
        &mut self.objects[id.0 as usize]
    }

    /// The objects that must still be released.
    pub(crate) fn held(&self) -> impl Iterator<Item = ObjectId> + '_ {
        (0..)
            .map(ObjectId)
            .zip(&self.objects)
            .filter(|(_, object)| object.held)
            .map(|(id, _)| id)
    }

    fn add(&mut self, kind: Kind, base: i64, size: i64) -> ObjectId {
        let cells = match kind {
            Kind::Stack => vec![Cell::Nothing; size as usize],
            _ => Vec::new(),
        };
        self.objects.push(Object {
            kind,
            alive: true,
            base,
            size,
            cells,
            held: false,
            of: None,
        });
        ObjectId(self.objects.len() as u32 - 1)
    }

    /// An object is gone, and all that goes with it.
    fn end(&mut self, id: ObjectId) {
        for (object, own) in self.objects.iter_mut().zip(0..) {
            if ObjectId(own) == id || object.of == Some(id) {
                object.alive = false;
                object.held = false;
            }
        }
    }

    /// A packet of another length.
    fn new_packet(&mut self) {
        let lengths = [
            0, 1, 4, 8, 9, 13, 14, 15, 20, 33, 34, 38, 54, 64, 100, 0xffff,
        ];
        let end = match self.random.below(4) {
            0 => i64::from(self.number() as u16),
            _ => *self.random.pick(&lengths),
        };
        let meta = *self.random.pick(&[0, 0, 3, 4, 8, 32]);
        self.packet = self.add(Kind::Packet { end }, -meta, end + meta);
    }

    fn enter(&mut self, at: (InsnIdx, InsnIdx), arguments: [Word; 5]) -> Result<(), Fault> {
        if self.frames.len() >= abi::limits::CALL_FRAMES as usize {
            return Err("calls too deep");
        }
        let (call, start) = at;
        let bytes = i64::from(abi::limits::STACK_BYTES);
        let stack = self.add(Kind::Stack, -bytes, bytes);
        let mut registers = [Word::Nothing; Reg::COUNT];
        registers[1..6].copy_from_slice(&arguments);
        registers[10] = Word::Pointer(Address {
            object: stack,
            offset: 0,
        });
        self.frames.push(Frame {
            registers,
            stack,
            call,
            start,
            back: None,
        });
        Ok(())
    }

    /// A number that the program may find interesting.
    fn number(&mut self) -> u64 {
        if self.numbers.is_empty() || self.random.below(2) == 0 {
            return self.random.number();
        }
        let near = self.random.below(3).wrapping_sub(1);
        self.random.pick(&self.numbers).wrapping_add(near)
    }

    fn may_leak(&self) -> bool {
        self.verified.program().program_type.privileged
    }

    fn top(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    fn top_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn get(&self, reg: Reg) -> Result<Word, Fault> {
        match self.top().registers[reg.index()] {
            Word::Nothing => Err("reads a register that holds nothing"),
            word => Ok(word),
        }
    }

    fn set(&mut self, reg: Reg, word: Word) -> Result<(), Fault> {
        if reg == Reg::R10 {
            return Err("writes r10");
        }
        self.set_plain(reg, word);
        Ok(())
    }

    fn set_plain(&mut self, reg: Reg, word: Word) {
        self.top_mut().registers[reg.index()] = word;
    }

    fn number_in(&self, reg: Reg) -> Result<u64, Fault> {
        match self.get(reg)? {
            Word::Number(value) => Ok(value),
            _ => Err("uses a pointer as a number"),
        }
    }

    /// Makes the argument registers unreadable, as every call does.
    fn clobber(&mut self) {
        self.top_mut().registers[1..6].fill(Word::Nothing);
    }
}
