//! Random programs in assembler text, for the packet hooks of both platforms.
//!
//! The generator remembers roughly what each register holds so that most programs make sense, and
//! forgets or errs now and then on purpose: a bound off by one, a forgotten check, a pointer used
//! after the packet moved, a record that is not given back.

mod calls;
mod dynptrs;
mod loops;
mod sums;

use crate::cases;
use crate::random::Random;
use abi::{MapKind, Platform};
use program::{GlobalSection, MapDef, MapId, Object, RawProgram};

/// What differs between the platforms.
struct Dialect {
    platform: Platform,
    /// Offsets of start, end and metadata of the packet and of a number, and their sizes.
    data: [i32; 4],
    pointer: &'static str,
    /// Sizes in which the number can be read.
    number: &'static [&'static str],
    time: u32,
    adjust_head: u32,
    /// A helper that fills memory, between its destination and its length in r2 or r3.
    fill: (&'static str, &'static str),
    tail_call: u32,
}

static DIALECTS: [Dialect; 2] = [
    Dialect {
        platform: Platform::Windows,
        data: [0, 8, 16, 24],
        pointer: "u64",
        number: &["u32", "u16", "u8"],
        time: 9,
        adjust_head: 65536,
        fill: ("r1 = r10\nr1 += -{start}\nr2 = {length}\nr3 = 7", "call 24"),
        tail_call: 5,
    },
    Dialect {
        platform: Platform::Linux,
        data: [0, 4, 8, 12],
        pointer: "u32",
        number: &["u32"],
        time: 5,
        adjust_head: 44,
        fill: (
            "r3 = r10\nr3 += -{start}\nr4 = {length}\nr1 = r9\nr2 = 0",
            "call 189",
        ),
        tail_call: 12,
    },
];

/// Bytes of a map's key and value.
const KEY_BYTES: u32 = 4;
const VALUE_BYTES: u32 = 24;
/// The maps: a hash map, an array with a lock, a ring buffer, programs, constants.
const MAPS: [(MapKind, u32); 5] = [
    (MapKind::Hash, VALUE_BYTES),
    (MapKind::Array, VALUE_BYTES),
    (MapKind::RingBuf, 0),
    (MapKind::ProgArray, 4),
    (MapKind::Array, 16),
];
/// The constants.
const CONSTANTS: [u8; 16] = [1, 0, 0, 0, 7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3];

/// The functions of the platform: one that nobody knows, then the kernel's for dynamic pointers.
const FUNCTIONS: [&str; 8] = [
    "function",
    "bpf_dynptr_from_xdp",
    "bpf_dynptr_slice",
    "bpf_dynptr_slice_rdwr",
    "bpf_dynptr_adjust",
    "bpf_dynptr_size",
    "bpf_dynptr_clone",
    "bpf_dynptr_is_null",
];

/// A program as an object.
///
/// # Errors
/// A program that does not assemble or load: a mistake of the generator.
pub(crate) fn object(random: &mut Random) -> Result<Object, String> {
    let dialect = &DIALECTS[random.below(2) as usize];
    let text = program(random, dialect);
    let fail = |error: &dyn std::fmt::Display| format!("{error}\n{text}");
    let insns = isa::asm::assemble(&text).map_err(|error| fail(&error))?;
    let maps = (0..)
        .zip(MAPS)
        .filter_map(|(index, map)| definition(dialect, index, map));
    let raw = RawProgram {
        name: "random",
        platform: dialect.platform,
        program_type: abi::program_type::by_name(dialect.platform, "xdp").ok_or("no xdp")?,
        bytes: &[],
        maps: maps.collect(),
    };
    let mut object =
        cases::linked(insns, &FUNCTIONS.map(str::to_owned), raw).map_err(|error| fail(&error))?;
    object.globals.push(GlobalSection {
        section: ".rodata".into(),
        map: MapId(4),
        data: CONSTANTS.into(),
        assumed: match random.below(4) {
            0 => std::iter::once(0..CONSTANTS.len()).collect(),
            1 => vec![4..8, CONSTANTS.len() - 1..CONSTANTS.len()],
            _ => Vec::new(),
        },
    });
    Ok(object)
}

fn definition(dialect: &Dialect, index: u32, (kind, value_size): (MapKind, u32)) -> Option<MapDef> {
    let row = abi::map::TABLE.iter().find(|row| row.kind == kind)?;
    let ring = kind == MapKind::RingBuf;
    Some(MapDef {
        name: row.name.into(),
        type_number: row.number(dialect.platform)?,
        kind,
        key_size: if ring { 0 } else { KEY_BYTES },
        value_size,
        max_entries: if ring { 4096 } else { 8 },
        flags: 0,
        pin_by_name: false,
        id: 0,
        inner: None,
        initial: Vec::new(),
        frozen: index == 4,
        spin_lock: (index == 1 && dialect.platform == Platform::Linux).then_some(8),
        timer: None,
        reserved: Vec::new(),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Nothing,
    Number,
    /// A number that is probably below 64.
    Index,
    Context,
    Packet,
    PacketEnd,
    Stack,
    ValueOrNull,
    Value,
    /// A value with a lock in its middle.
    LockedOrNull,
    Locked,
    /// A record of a ring buffer.
    RecordOrNull,
    Record,
    Meta,
    /// Memory that a dynamic pointer describes.
    Slice,
}

struct Writer<'a> {
    dialect: &'static Dialect,
    random: &'a mut Random,
    text: String,
    kinds: [Kind; 11],
    labels: u32,
    depth: u32,
}

/// One program with its functions.
fn program(random: &mut Random, dialect: &'static Dialect) -> String {
    let mut writer = Writer {
        dialect,
        random,
        text: String::new(),
        kinds: [Kind::Nothing; 11],
        labels: 0,
        depth: 0,
    };
    writer.kinds[1] = Kind::Context;
    writer.kinds[10] = Kind::Stack;
    writer.line("r9 = r1");
    writer.kinds[9] = Kind::Context;
    let length = 3 + writer.random.below(14);
    for _ in 0..length {
        writer.snippet();
    }
    writer.release();
    writer.line("r0 = 1\nexit");
    writer.functions();
    writer.text
}

/// Changes of register C after which it still follows from what it was copied from.
#[rustfmt::skip] // one line
const RELATED: [&str; 8] = ["rC += 1", "rC += -2", "wC += 2147483647", "wC += -1", "rC <<= 32\nrC >>= 32", "rC <<= 32\nrC s>>= 32", "*(u64 *)(r10 - 56) = rC\nrC = *(u32 *)(r10 - 56)", "*(u32 *)(r10 - 60) = rC\nrC = *(u32 *)(r10 - 60)"];

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn label(&mut self) -> u32 {
        self.labels += 1;
        self.labels
    }

    /// A register that holds one of these kinds; sometimes any register.
    fn find(&mut self, kinds: &[Kind]) -> Option<u64> {
        let fitting: Vec<u64> = (0..11)
            .filter(|reg| kinds.contains(&self.kinds[*reg as usize]))
            .collect();
        if self.random.once_in(120) {
            return Some(self.random.below(10));
        }
        (!fitting.is_empty()).then(|| *self.random.pick(&fitting))
    }

    fn number(&mut self) -> Option<u64> {
        self.find(&[Kind::Number, Kind::Index])
    }

    /// A register to overwrite.
    fn target(&mut self) -> u64 {
        self.random.below(9)
    }

    fn set(&mut self, reg: u64, kind: Kind) {
        self.kinds[reg as usize] = kind;
    }

    fn snippet(&mut self) {
        match self.random.below(30) {
            0 => self.constant(),
            1 => self.load_context(),
            2 | 3 => self.arithmetic(),
            4 => self.bound(),
            5 => self.mask(),
            6 => self.packet_check(),
            7 | 8 => self.access(),
            9 | 10 => self.stack(),
            11 => self.lookup(),
            12 => self.null_check(),
            13 => self.move_pointer(),
            14 => self.branch(),
            15 => self.counted_loop(),
            16 => self.copy(),
            17 => self.spill(),
            18 => self.reserve(),
            19 => self.release(),
            20 => self.lock(),
            21 => self.stack_pointer(),
            22 => self.direct_value(),
            23 => self.distance(),
            24 => self.total(),
            25 => self.moved_and_compared(),
            26 => self.dynptr(),
            _ => self.call(),
        }
    }

    fn constant(&mut self) {
        let (reg, value) = (self.target(), self.random.value());
        let text = match self.random.below(3) {
            0 => format!("r{reg} = {value:#x} ll"),
            1 => format!("w{reg} = {}", value as i32),
            _ => format!("r{reg} = {}", value as i32),
        };
        self.line(&text);
        self.set(reg, Kind::Number);
    }

    fn load_context(&mut self) {
        let Some(context) = self.find(&[Kind::Context]) else {
            return;
        };
        let reg = self.target();
        let which = self.random.below(6) as usize;
        let kinds = [Kind::Packet, Kind::PacketEnd, Kind::Meta, Kind::Number];
        let kind = *kinds.get(which).unwrap_or(&Kind::Packet);
        let offset = self.dialect.data.get(which).unwrap_or(&0);
        let size = match kind {
            Kind::Number => self.random.pick(self.dialect.number),
            _ => self.dialect.pointer,
        };
        self.line(&format!("r{reg} = *({size} *)(r{context} + {offset})"));
        self.set(reg, kind);
    }

    fn arithmetic(&mut self) {
        let Some(left) = self.number() else { return };
        let op = *self.random.pick(&[
            "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "=",
        ]);
        let prefix = *self.random.pick(&["r", "r", "w"]);
        let text = match self.random.below(8) {
            0 => format!("{prefix}{left} = -{prefix}{left}"),
            1 => {
                let size = *self.random.pick(&["s8", "s16"]);
                format!("{prefix}{left} = ({size}){prefix}{left}")
            }
            2 => {
                let conversion = self
                    .random
                    .pick(&["be16", "be32", "bswap64", "le32", "bswap16"]);
                format!("r{left} = {conversion} r{left}")
            }
            3..6 => format!("{prefix}{left} {op} {}", self.immediate(op)),
            _ => {
                let Some(right) = self.number() else { return };
                format!("{prefix}{left} {op} {prefix}{right}")
            }
        };
        self.line(&text);
        self.set(left, Kind::Number);
    }

    fn immediate(&mut self, op: &str) -> i32 {
        match op {
            "<<=" | ">>=" | "s>>=" => self.random.below(32) as i32,
            "/=" | "%=" => self.random.below(300) as i32 + 1,
            _ => self.random.value() as i32,
        }
    }

    /// A comparison that ends the program unless the number is small.
    fn bound(&mut self) {
        if let Some(reg) = self.number() {
            self.bound_register(reg);
        }
    }

    fn bound_register(&mut self, reg: u64) {
        let (label, limit) = (self.label(), self.random.below(40));
        let prefix = *self.random.pick(&["r", "r", "r", "w"]);
        let sign = *self.random.pick(&["", "", "", "s"]);
        let cond = *self.random.pick(&["<", "<="]);
        self.line(&format!(
            "if {prefix}{reg} {sign}{cond} {limit} goto ok{label}"
        ));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        self.set(reg, Kind::Index);
    }

    fn mask(&mut self) {
        let Some(reg) = self.number() else { return };
        let mask = *self.random.pick(&[1, 3, 7, 8, 12, 15, 16, 31, 63, 255]);
        self.line(&format!("r{reg} &= {mask}"));
        self.set(reg, Kind::Index);
    }

    fn packet_check(&mut self) {
        let (area, end) = match self.random.below(5) {
            0 => (Kind::Meta, Kind::Packet),
            _ => (Kind::Packet, Kind::PacketEnd),
        };
        let (Some(packet), Some(end)) = (self.find(&[area]), self.find(&[end])) else {
            return;
        };
        let (label, copy) = (self.label(), self.target());
        if copy == packet || copy == end {
            return;
        }
        let length = self.random.below(48);
        let (cond, order) = *self.random.pick(&[
            ("<=", true),
            ("<=", true),
            ("<", true),
            (">=", false),
            (">", false),
            ("<", false),
            ("==", true),
        ]);
        self.line(&format!("r{copy} = r{packet}\nr{copy} += {length}"));
        let (left, right) = if order { (copy, end) } else { (end, copy) };
        self.line(&format!("if r{left} {cond} r{right} goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        self.set(copy, area);
    }

    /// A load or store through a pointer.
    fn access(&mut self) {
        let kinds = [
            Kind::Packet,
            Kind::Value,
            Kind::Record,
            Kind::Locked,
            Kind::Meta,
            Kind::Slice,
        ];
        let Some(base) = self.find(&kinds) else {
            return;
        };
        let size = *self.random.pick(&["u8", "u8", "u16", "u32", "u64"]);
        let offset = match self.random.below(12) {
            0 => -1,
            1 => 20,
            _ => self.random.below(16) as i64,
        };
        let place = format!("*({size} *)(r{base} {offset:+})")
            .replace('+', "+ ")
            .replace('-', "- ");
        match self.random.below(4) {
            0 => {
                let Some(value) = self.number() else { return };
                self.line(&format!("{place} = r{value}"));
            }
            1 => self.line(&format!("{place} = 5")),
            2 if size == "u32" || size == "u64" => {
                let Some(value) = self.number() else { return };
                let fetch = format!("r{value} = atomic_fetch_add((u64 *)(r{base} + 8), r{value})");
                match self.random.below(3) {
                    0 => self.line(&fetch),
                    _ => self.line(&format!("lock {place} += r{value}")),
                }
            }
            _ => {
                let reg = self.target();
                self.line(&format!("r{reg} = {place}"));
                self.set(reg, Kind::Number);
            }
        }
    }

    fn stack(&mut self) {
        let offset = 1 + self.random.below(40) as i64;
        let size = *self.random.pick(&["u8", "u16", "u32", "u64", "u64"]);
        let aligned = 8 * (offset / 8 + 1);
        let offset = if self.random.once_in(6) {
            offset
        } else {
            aligned
        };
        let place = format!("*({size} *)(r10 - {offset})");
        if self.random.once_in(2) {
            match self.number() {
                Some(value) if !self.random.once_in(3) => self.line(&format!("{place} = r{value}")),
                _ => self.line(&format!("{place} = {}", self.labels)),
            }
            return;
        }
        let reg = self.target();
        if self.random.once_in(3) {
            self.line(&format!("*(u64 *)(r10 - {aligned}) = 3"));
        }
        self.line(&format!("r{reg} = {place}"));
        self.set(reg, Kind::Number);
    }

    fn lookup(&mut self) {
        if !self.random.once_in(8) {
            self.line("*(u32 *)(r10 - 4) = 1");
        }
        let map = self.random.below(2);
        self.line(&format!(
            "r1 = map_fd({map}) ll\nr2 = r10\nr2 += -4\ncall 1"
        ));
        let found = match map {
            0 => Kind::ValueOrNull,
            _ => Kind::LockedOrNull,
        };
        self.clobber(found);
        self.keep_result(found);
    }

    /// Puts r0 where calls do not reach it.
    fn keep_result(&mut self, kind: Kind) {
        if self.random.once_in(2) {
            let reg = 6 + self.random.below(3);
            self.line(&format!("r{reg} = r0"));
            self.set(reg, kind);
        }
    }

    fn reserve(&mut self) {
        if self.lacks_records() {
            return;
        }
        // A record that is held already should be given back first.
        if self.kinds.contains(&Kind::Record) && !self.random.once_in(10) {
            return;
        }
        let size = 8 * (1 + self.random.below(4));
        self.line(&format!("r1 = map_fd(2) ll\nr2 = {size}\nr3 = 0\ncall 131"));
        self.clobber(Kind::RecordOrNull);
        let reg = 6 + self.random.below(3);
        self.line(&format!("r{reg} = r0"));
        self.set(reg, Kind::RecordOrNull);
        if !self.random.once_in(12) {
            self.null_check_of(reg);
        }
    }

    /// Windows has neither records nor locks: a program with them is nearly always refused.
    fn lacks_records(&mut self) -> bool {
        self.dialect.platform == Platform::Windows && !self.random.once_in(60)
    }

    /// Gives the record back, sometimes forgets to.
    fn release(&mut self) {
        let Some(reg) = (6..9).find(|reg| self.kinds[*reg] == Kind::Record) else {
            return;
        };
        if self.random.once_in(15) {
            return;
        }
        let id = 132 + self.random.below(2);
        self.line(&format!("r1 = r{reg}\nr2 = 0\ncall {id}"));
        self.clobber(Kind::Nothing);
        if !self.random.once_in(8) {
            for kind in &mut self.kinds {
                if *kind == Kind::Record {
                    *kind = Kind::Nothing;
                }
            }
        }
    }

    /// A few instructions under a lock.
    fn lock(&mut self) {
        let Some(reg) = self.find(&[Kind::Locked]) else {
            return;
        };
        if reg < 6 || self.lacks_records() {
            return;
        }
        self.line(&format!("r1 = r{reg}\nr1 += 8\ncall 93"));
        self.clobber(Kind::Nothing);
        if self.random.once_in(3) {
            self.access();
        }
        if !self.random.once_in(12) {
            let offset = if self.random.once_in(12) { 4 } else { 8 };
            self.line(&format!("r1 = r{reg}\nr1 += {offset}\ncall 94"));
            self.clobber(Kind::Nothing);
        }
    }

    /// An access to the stack at an offset that is not known.
    fn stack_pointer(&mut self) {
        let Some(index) = self.find(&[Kind::Index]) else {
            return;
        };
        let (reg, start) = (self.target(), 16 + 8 * self.random.below(10));
        if reg == index {
            return;
        }
        self.line(&format!(
            "r{reg} = r10\nr{reg} += -{start}\nr{reg} += r{index}"
        ));
        let size = *self.random.pick(&["u8", "u8", "u16", "u32", "u64"]);
        match self.random.below(3) {
            0 => self.line(&format!("*({size} *)(r{reg} + 0) = 0")),
            1 => self.line(&format!("*({size} *)(r{reg} + 0) = r{index}")),
            _ => self.line(&format!("r{reg} = *({size} *)(r{reg} + 0)")),
        }
        self.set(reg, Kind::Number);
    }

    /// A number from an array that is addressed directly.
    fn direct_value(&mut self) {
        let reg = self.target();
        let (map, last) = *self.random.pick(&[(4, 20), (4, 12), (1, 28)]);
        let offset = self.random.below(last);
        self.line(&format!("r{reg} = map_value({map}, {offset}) ll"));
        self.set(reg, Kind::Value);
        if self.random.once_in(2) {
            let size = *self.random.pick(&["u8", "u16", "u32", "u64"]);
            self.line(&format!("r{reg} = *({size} *)(r{reg} + 0)"));
            self.set(reg, Kind::Number);
        }
    }

    /// The length of what is left of the packet.
    fn distance(&mut self) {
        let (Some(packet), Some(end)) = (self.find(&[Kind::Packet]), self.find(&[Kind::PacketEnd]))
        else {
            return;
        };
        let reg = self.target();
        if reg == packet {
            return;
        }
        self.line(&format!("r{reg} = r{end}\nr{reg} -= r{packet}"));
        self.set(reg, Kind::Number);
        if self.random.once_in(2) {
            let (label, length) = (self.label(), self.random.below(40));
            let cond = *self.random.pick(&[">", ">=", "s>", "s>=", "!="]);
            self.line(&format!("if r{reg} {cond} {length} goto ok{label}"));
            self.line(&format!("r0 = 2\nexit\nok{label}:"));
        }
    }

    fn clobber(&mut self, result: Kind) {
        self.kinds[1..6].fill(Kind::Nothing);
        self.kinds[0] = result;
    }

    fn null_check(&mut self) {
        let kinds = [Kind::ValueOrNull, Kind::LockedOrNull, Kind::RecordOrNull];
        if let Some(reg) = self.find(&kinds) {
            self.null_check_of(reg);
        }
    }

    fn null_check_of(&mut self, reg: u64) {
        let label = self.label();
        self.line(&format!("if r{reg} != 0 goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        let (before, after) = match self.kinds[reg as usize] {
            Kind::LockedOrNull => (Kind::LockedOrNull, Kind::Locked),
            Kind::RecordOrNull => (Kind::RecordOrNull, Kind::Record),
            _ => (Kind::ValueOrNull, Kind::Value),
        };
        let kinds = self.kinds.iter_mut().filter(|kind| **kind == before);
        kinds.for_each(|kind| *kind = after);
        self.set(reg, after);
    }

    fn move_pointer(&mut self) {
        let Some(pointer) = self.find(&[Kind::Packet, Kind::Value, Kind::Meta]) else {
            return;
        };
        let text = match self.find(&[Kind::Index]) {
            Some(index) if !self.random.once_in(4) => {
                let op = *self.random.pick(&["+=", "+=", "+=", "-="]);
                format!("r{pointer} {op} r{index}")
            }
            _ => format!(
                "r{pointer} += {}",
                *self.random.pick(&[1, 2, 4, 8, 14, -1, -4])
            ),
        };
        self.line(&text);
    }

    /// A forward branch over a few snippets; what was known before may be wrong after it.
    fn branch(&mut self) {
        let Some(reg) = self.number() else { return };
        if self.depth >= 2 {
            return;
        }
        let label = self.label();
        let cond = *self.random.pick(&[
            "==", "!=", "<", ">", "<=", ">=", "s<", "s>", "s>=", "s<=", "&",
        ]);
        let prefix = *self.random.pick(&["r", "w"]);
        let right = match self.number() {
            Some(other) if self.random.once_in(3) => format!("{prefix}{other}"),
            _ => format!("{}", self.random.value() as i32),
        };
        self.line(&format!("if {prefix}{reg} {cond} {right} goto out{label}"));
        let before = self.kinds;
        self.depth += 1;
        for _ in 0..=self.random.below(3) {
            self.snippet();
        }
        self.depth -= 1;
        self.line(&format!("out{label}:"));
        for (now, then) in self.kinds.iter_mut().zip(before) {
            if *now != then && self.random.below(8) != 0 {
                *now = Kind::Nothing;
            }
        }
    }

    fn copy(&mut self) {
        let (from, to) = (self.random.below(11), self.target());
        if self.kinds[from as usize] == Kind::Nothing && !self.random.once_in(60) {
            return;
        }
        let kind = self.kinds[from as usize];
        if self.random.once_in(3) && matches!(kind, Kind::Number | Kind::Index) {
            self.line(&format!("w{to} = w{from}"));
        } else {
            self.line(&format!("r{to} = r{from}"));
        }
        self.set(to, kind);
        if self.random.once_in(2) && matches!(kind, Kind::Number | Kind::Index) && from < 9 {
            self.relate(to, from);
        }
    }

    /// Changes a copy so that it still follows from the original, and bounds one of both.
    fn relate(&mut self, copy: u64, original: u64) {
        let text = self.random.pick(&RELATED);
        self.line(&text.replace('C', &copy.to_string()));
        let is_copy = self.random.once_in(2);
        self.bound_register(if is_copy { copy } else { original });
    }

    /// Stores a register whole and loads it again, perhaps damaged in between.
    fn spill(&mut self) {
        let (from, to) = (self.random.below(10), self.target());
        if self.kinds[from as usize] == Kind::Nothing {
            return;
        }
        let place = 8 * (1 + self.random.below(6));
        self.line(&format!("*(u64 *)(r10 - {place}) = r{from}"));
        if self.depth == 0 && self.random.once_in(2) {
            self.snippet();
        }
        let size = if self.random.once_in(10) {
            "u32"
        } else {
            "u64"
        };
        self.line(&format!("r{to} = *({size} *)(r10 - {place})"));
        let kind = self.kinds[from as usize];
        self.set(to, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Effort, check};
    use isa::{CallTarget, Imm64, Insn};

    const PROGRAMS: u64 = 6_000;

    /// How many generated programs with such an instruction are accepted, and how many refused.
    fn verdicts(of: impl Fn(&Insn) -> bool) -> (u64, u64) {
        let mut random = Random::new(5);
        let (mut accepted, mut refused) = (0, 0);
        for seed in 0..PROGRAMS {
            let object = object(&mut random).unwrap_or_else(|error| panic!("{error}"));
            if !object.programs[0].insns.iter().any(&of) {
                continue;
            }
            match check(&object, Effort::SMALL, seed) {
                Ok(Some(_)) => accepted += 1,
                Ok(None) => refused += 1,
                Err(finding) => panic!("at {}: {}", finding.at, finding.why),
            }
        }
        (accepted, refused)
    }

    #[test]
    fn functions_of_the_platform_are_called_well_and_badly() {
        let (accepted, refused) = verdicts(|insn| matches!(insn, Insn::Call(CallTarget::Btf(0))));
        assert!(accepted > 100 && refused > 100, "{accepted}, {refused}");
    }

    #[test]
    fn dynamic_pointers_are_used_well_and_badly() {
        let dynptrs = [197, 198, 199, 200, 201, 202, 203];
        let (accepted, refused) = verdicts(|insn| match insn {
            Insn::Call(CallTarget::Btf(index)) => *index > 0,
            Insn::Call(CallTarget::Helper(id)) => dynptrs.contains(id),
            _ => false,
        });
        assert!(accepted > 80 && refused > 100, "{accepted}, {refused}");
    }

    #[test]
    fn functions_are_called_back_well_and_badly() {
        let (accepted, refused) = verdicts(|insn| {
            let Insn::LoadImm64 { imm, .. } = insn else {
                return false;
            };
            matches!(imm, Imm64::Code(_))
        });
        assert!(accepted > 30 && refused > 100, "{accepted}, {refused}");
    }
}
