//! Calls of helpers, of functions of the platform and of the program, and functions that helpers
//! call back.

use super::{Kind, Writer};
use abi::Platform;

impl Writer<'_> {
    pub(super) fn call(&mut self) {
        match self.random.below(8) {
            0 => {
                self.line(&format!("call {}", self.dialect.time));
                self.clobber(Kind::Number);
            }
            1 => self.adjust_head(),
            2 => self.fill(),
            3 => self.update(),
            4 => {
                let (id, index) = (self.dialect.tail_call, self.random.below(3));
                self.line(&format!(
                    "r1 = r9\nr2 = map_fd(3) ll\nr3 = {index}\ncall {id}"
                ));
                self.clobber(Kind::Number);
            }
            5 => self.platform_call(),
            6 if self.depth == 0 => self.call_back(),
            _ if self.depth == 0 => {
                let argument = *self
                    .random
                    .pick(&["r1 = r10\nr1 += -16", "r1 = r9", "r1 = 7"]);
                self.line(&format!("{argument}\nr2 = r9\ncall fn"));
                self.clobber(Kind::Number);
            }
            _ => {}
        }
    }

    pub(super) fn adjust_head(&mut self) {
        self.line(&format!(
            "r1 = r9\nr2 = 0\ncall {}",
            self.dialect.adjust_head
        ));
        self.clobber(Kind::Number);
        self.packet_moved();
    }

    /// Forgets pointers into the packet, nearly always.
    pub(super) fn packet_moved(&mut self) {
        if self.random.once_in(10) {
            return;
        }
        for kind in &mut self.kinds {
            if matches!(kind, Kind::Packet | Kind::PacketEnd | Kind::Meta) {
                *kind = Kind::Nothing;
            }
        }
    }

    /// A function that the platform resolves by name: it takes numbers, the context, and registers
    /// that hold nothing. What they hold may depend on the way to the call.
    fn platform_call(&mut self) {
        let time = self.dialect.time;
        if !self.random.once_in(5) {
            self.line(&format!("call {time}"));
            self.clobber(Kind::Number);
        }
        self.line("r1 = r9");
        for reg in 2..2 + self.random.below(3) {
            let argument = match self.random.below(8) {
                0 => "r10",
                1 => "r9",
                2 => continue,
                _ => "7",
            };
            self.line(&format!("r{reg} = {argument}"));
        }
        if let Some(number) = self.number()
            && self.random.once_in(2)
        {
            self.change_on_one_way(number);
        }
        self.line("call btf(0)");
        self.clobber(Kind::Number);
        self.packet_moved();
    }

    /// Changes what is passed on one of two ways, which may be the one that is followed first.
    fn change_on_one_way(&mut self, number: u64) {
        let (label, time) = (self.label(), self.dialect.time);
        let change = match self.random.below(6) {
            0 | 1 => format!("call {time}\nr1 = r9"),
            2 => "r2 = 5".to_owned(),
            3 => "r3 = r10".to_owned(),
            4 => "r2 = r9".to_owned(),
            _ => "r4 = r1".to_owned(),
        };
        let limit = self.random.below(100);
        let compare = format!("if r{number} > {limit} goto way{label}");
        let text = match self.random.below(2) {
            0 => format!("{compare}\n{change}\nway{label}:"),
            _ => format!("{compare}\ngoto join{label}\nway{label}:\n{change}\njoin{label}:"),
        };
        self.line(&text);
    }

    /// A helper that calls one of the program's functions, with a pointer to a place on the stack
    /// where the context and two numbers lie.
    fn call_back(&mut self) {
        if self.dialect.platform == Platform::Windows {
            return;
        }
        self.line("*(u64 *)(r10 - 96) = r9\n*(u64 *)(r10 - 88) = 0\n*(u64 *)(r10 - 80) = 0");
        let context = match self.random.below(12) {
            0 => "r3 = 0",
            1 => "r3 = r10\nr3 += -88",
            _ => "r3 = r10\nr3 += -96",
        };
        if self.random.once_in(2) {
            let map = self.random.below(2);
            self.line(&format!(
                "r1 = map_fd({map}) ll\nr2 = code(each) ll\n{context}\nr4 = 0\ncall 164"
            ));
        } else {
            match self.find(&[Kind::Index]) {
                Some(index) => self.line(&format!("r1 = r{index}")),
                None => {
                    let rounds = self.random.below(28);
                    self.line(&format!("r1 = {rounds}"));
                }
            }
            self.line(&format!("r2 = code(round) ll\n{context}\nr4 = 0\ncall 181"));
        }
        self.clobber(Kind::Number);
        if self.random.once_in(2) {
            let (reg, offset) = (self.target(), 80 + 8 * self.random.below(3));
            self.line(&format!("r{reg} = *(u64 *)(r10 - {offset})"));
            self.set(reg, Kind::Number);
        }
    }

    fn fill(&mut self) {
        let length = self.random.below(33);
        let start = 32 + self.random.below(8) * 8;
        let (arguments, call) = self.dialect.fill;
        let arguments = arguments
            .replace("{start}", &start.to_string())
            .replace("{length}", &length.to_string());
        self.line(&arguments);
        // Sometimes the length is one that a register holds.
        if let Some(index) = self.find(&[Kind::Index])
            && self.random.once_in(4)
        {
            let size = match self.dialect.platform {
                Platform::Windows => 2,
                Platform::Linux => 4,
            };
            self.line(&format!("r{size} = r{index}"));
        }
        self.line(call);
        self.clobber(Kind::Number);
    }

    fn update(&mut self) {
        self.line("*(u32 *)(r10 - 4) = 1\n*(u64 *)(r10 - 32) = 1\n*(u64 *)(r10 - 24) = 1");
        if !self.random.once_in(6) {
            self.line("*(u64 *)(r10 - 16) = 1");
        }
        self.line("r1 = map_fd(0) ll\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -32\nr4 = 0\ncall 2");
        self.clobber(Kind::Number);
    }

    /// The functions that the program so far leads to.
    pub(super) fn functions(&mut self) {
        if self.text.contains("call fn") {
            self.function();
        }
        if self.text.contains("code(round)") {
            self.called_back("round:\nr8 = r2\nr7 = r1", &[(7, Kind::Index)]);
        }
        if self.text.contains("code(each)") {
            let kinds = [(6, Kind::Value), (7, Kind::Index)];
            let start = "each:\nr8 = r4\nr6 = r3\nr7 = *(u32 *)(r2 + 0)\nr7 &= 7";
            self.called_back(start, &kinds);
        }
    }

    /// A function that a helper calls: r8 is the place on its caller's stack.
    fn called_back(&mut self, start: &str, kinds: &[(u64, Kind)]) {
        self.line(start);
        self.line("r9 = *(u64 *)(r8 + 0)");
        self.kinds = [Kind::Nothing; 11];
        self.kinds[9] = Kind::Context;
        self.kinds[10] = Kind::Stack;
        for (reg, kind) in kinds {
            self.set(*reg, *kind);
        }
        self.depth = 1;
        if self.random.once_in(3) {
            let offset = self.random.below(24);
            self.line(&format!(
                "r5 = map_value(1, 0) ll\nr5 += r7\nr5 = *(u8 *)(r5 + {offset})"
            ));
            self.set(5, Kind::Number);
        }
        for _ in 0..self.random.below(5) {
            self.snippet();
            if self.random.once_in(3) {
                self.caller_stack();
            }
        }
        let result = match self.random.below(12) {
            0 => 2,
            other => other % 2,
        };
        self.line(&format!("r0 = {result}\nexit"));
    }

    /// Reads or writes what a callback shares with its caller: the context comes first there.
    fn caller_stack(&mut self) {
        let offset = match self.random.below(10) {
            0 => 0,
            1 => 4,
            2 => 96,
            other => 8 + 8 * (other % 2),
        };
        match self.number() {
            Some(number) if self.random.once_in(2) => {
                self.line(&format!("*(u64 *)(r8 + {offset}) = r{number}"));
            }
            _ => {
                let reg = self.random.below(8);
                self.line(&format!("r{reg} = *(u64 *)(r8 + {offset})"));
                self.set(reg, Kind::Number);
            }
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
            let offset = *self.random.pick(&[0, 8, 8, 16]);
            self.line(&format!("*(u64 *)(r8 + {offset}) = 9"));
        }
        for _ in 0..self.random.below(5) {
            self.snippet();
        }
        self.line("r0 = 0\nexit");
    }
}
