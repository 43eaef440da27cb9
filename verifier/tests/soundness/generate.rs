//! Random programs in assembler text.
//!
//! The generator remembers roughly what each register holds so that most programs make sense, and
//! forgets or errs now and then on purpose.

use std::fmt::Write;

/// A small deterministic generator (Marsaglia's xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 8) % limit
    }

    /// Small numbers, numbers near limits, and any.
    pub(crate) fn value(&mut self) -> u64 {
        match self.below(5) {
            0 => self.next(),
            1 => self.below(16),
            2 => self.below(16).wrapping_neg(),
            3 => (1_u64 << self.below(64)).wrapping_sub(self.below(3)),
            _ => self.next() & 0xff,
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
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
}

struct Writer<'a> {
    random: &'a mut Random,
    text: String,
    kinds: [Kind; 11],
    labels: u32,
    depth: u32,
}

/// One program with its functions.
pub(crate) fn program(random: &mut Random) -> String {
    let mut writer = Writer {
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
    writer.line("r0 = 1\nexit");
    if writer.text.contains("call fn") {
        writer.function();
    }
    writer.text
}

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
        (!fitting.is_empty()).then(|| self.random.pick(&fitting))
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
        match self.random.below(19) {
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
        let (offset, size, kind) = match self.random.below(4) {
            0 => (0, "u64", Kind::Packet),
            1 => (8, "u64", Kind::PacketEnd),
            2 => (24, "u32", Kind::Number),
            _ => (24, "u8", Kind::Number),
        };
        self.line(&format!("r{reg} = *({size} *)(r{context} + {offset})"));
        self.set(reg, kind);
    }

    fn arithmetic(&mut self) {
        let Some(left) = self.number() else { return };
        let op = self.random.pick(&[
            "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "=",
        ]);
        let prefix = self.random.pick(&["r", "r", "w"]);
        let text = match self.random.below(8) {
            0 => format!("{prefix}{left} = -{prefix}{left}"),
            1 => {
                let size = self.random.pick(&["s8", "s16"]);
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
        let Some(reg) = self.number() else { return };
        let label = self.label();
        let limit = self.random.below(40);
        let prefix = self.random.pick(&["r", "r", "r", "w"]);
        let sign = self.random.pick(&["", "", "", "s"]);
        let cond = self.random.pick(&["<", "<="]);
        self.line(&format!(
            "if {prefix}{reg} {sign}{cond} {limit} goto ok{label}"
        ));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        self.set(reg, Kind::Index);
    }

    fn mask(&mut self) {
        let Some(reg) = self.number() else { return };
        let mask = self.random.pick(&[1, 3, 7, 8, 12, 15, 16, 31, 63, 255]);
        self.line(&format!("r{reg} &= {mask}"));
        self.set(reg, Kind::Index);
    }

    fn packet_check(&mut self) {
        let (Some(packet), Some(end)) = (self.find(&[Kind::Packet]), self.find(&[Kind::PacketEnd]))
        else {
            return;
        };
        let (label, copy) = (self.label(), self.target());
        if copy == packet || copy == end {
            return;
        }
        let length = self.random.below(48);
        let (cond, order) = self.random.pick(&[
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
        self.set(copy, Kind::Packet);
    }

    /// A load or store through a pointer.
    fn access(&mut self) {
        let Some(base) = self.find(&[Kind::Packet, Kind::Value, Kind::Packet, Kind::Value]) else {
            return;
        };
        let size = self.random.pick(&["u8", "u8", "u16", "u32", "u64"]);
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
                self.line(&format!("lock {place} += r{value}"));
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
        let size = self.random.pick(&["u8", "u16", "u32", "u64", "u64"]);
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
        self.line("r1 = map_fd(0) ll\nr2 = r10\nr2 += -4\ncall 1");
        self.clobber(Kind::ValueOrNull);
        if self.random.once_in(2) {
            let reg = 6 + self.random.below(3);
            self.line(&format!("r{reg} = r0"));
            self.set(reg, Kind::ValueOrNull);
        }
    }

    fn clobber(&mut self, result: Kind) {
        self.kinds[1..6].fill(Kind::Nothing);
        self.kinds[0] = result;
    }

    fn null_check(&mut self) {
        let Some(reg) = self.find(&[Kind::ValueOrNull]) else {
            return;
        };
        let label = self.label();
        self.line(&format!("if r{reg} != 0 goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        self.set(reg, Kind::Value);
    }

    fn move_pointer(&mut self) {
        let Some(pointer) = self.find(&[Kind::Packet, Kind::Value]) else {
            return;
        };
        let text = match self.find(&[Kind::Index]) {
            Some(index) if !self.random.once_in(4) => {
                let op = self.random.pick(&["+=", "+=", "+=", "-="]);
                format!("r{pointer} {op} r{index}")
            }
            _ => format!(
                "r{pointer} += {}",
                self.random.pick(&[1, 2, 4, 8, 14, -1, -4])
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
        let cond = self.random.pick(&[
            "==", "!=", "<", ">", "<=", ">=", "s<", "s>", "s>=", "s<=", "&",
        ]);
        let prefix = self.random.pick(&["r", "w"]);
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

    fn counted_loop(&mut self) {
        if self.depth >= 1 {
            return;
        }
        let (label, counter) = (self.label(), self.target());
        let step = self.random.pick(&[1, 1, 1, 2, 3]);
        let limit = step * (1 + self.random.below(12));
        let cond = self.random.pick(&["!=", "<", "<", "s<"]);
        self.line(&format!("r{counter} = 0\nloop{label}:"));
        self.set(counter, Kind::Nothing);
        self.depth += 1;
        for _ in 0..=self.random.below(2) {
            self.snippet();
        }
        self.depth -= 1;
        self.line(&format!("r{counter} += {step}"));
        self.line(&format!("if r{counter} {cond} {limit} goto loop{label}"));
        self.set(counter, Kind::Number);
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

    fn call(&mut self) {
        match self.random.below(5) {
            0 => {
                self.line("call 9");
                self.clobber(Kind::Number);
            }
            1 => {
                self.line("r1 = r9\nr2 = 0\ncall 65536");
                self.clobber(Kind::Number);
                if self.random.below(10) != 0 {
                    for kind in &mut self.kinds {
                        if matches!(kind, Kind::Packet | Kind::PacketEnd) {
                            *kind = Kind::Nothing;
                        }
                    }
                }
            }
            2 => {
                let length = self.random.below(33);
                let start = 32 + self.random.below(8) * 8;
                let mut text = format!("r1 = r10\nr1 += -{start}\n");
                let _ = write!(text, "r2 = {length}\nr3 = 7\ncall 24");
                self.line(&text);
                self.clobber(Kind::Number);
            }
            3 => {
                self.line("*(u32 *)(r10 - 4) = 1\n*(u64 *)(r10 - 32) = 1\n*(u64 *)(r10 - 24) = 1");
                if !self.random.once_in(6) {
                    self.line("*(u64 *)(r10 - 16) = 1");
                }
                self.line(
                    "r1 = map_fd(0) ll\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -32\nr4 = 0\ncall 2",
                );
                self.clobber(Kind::Number);
            }
            _ if self.depth == 0 => {
                let argument = self
                    .random
                    .pick(&["r1 = r10\nr1 += -16", "r1 = r9", "r1 = 7"]);
                self.line(&format!("{argument}\nr2 = r9\ncall fn"));
                self.clobber(Kind::Number);
            }
            _ => {}
        }
    }

    /// The function that calls lead to: r1 is one of several things, r2 the context.
    fn function(&mut self) {
        self.line("fn:\nr9 = r2\nr8 = r1");
        self.kinds = [Kind::Nothing; 11];
        self.kinds[9] = Kind::Context;
        self.kinds[2] = Kind::Context;
        self.kinds[10] = Kind::Stack;
        self.depth = 1;
        if self.random.once_in(2) {
            let offset = self.random.pick(&[0, 8, 8, 16]);
            self.line(&format!("*(u64 *)(r8 + {offset}) = 9"));
        }
        for _ in 0..self.random.below(5) {
            self.snippet();
        }
        self.line("r0 = 0\nexit");
    }
}
