//! Numbers that are added, to each other and to pointers, and compared before or after.

use super::{Kind, Writer};
use abi::Platform;

impl Writer<'_> {
    /// Offset and size that are bounded by their sum, in memory that a helper then fills or reads.
    pub(super) fn total(&mut self) {
        self.numbers_and_their_sum();
        self.compared(8, 24);
        let base = *self
            .random
            .pick(&["r5 = map_value(4, 0) ll", "r5 = r10\nr5 += -48"]);
        self.line(&format!("{base}\nr5 += r6"));
        let more = *self.random.pick(&[0, 0, 0, 1, 2, 8, -1]);
        self.line(&format!("r5 += {more}"));
        if self.random.once_in(4) {
            self.compared(6, 24);
        }
        let call = match self.dialect.platform {
            Platform::Windows => "r1 = r5\nr2 = r7\nr3 = 7\ncall 24",
            // Both read: memory is copied to a place, or looked at.
            Platform::Linux if self.random.once_in(2) => {
                "r1 = r5\nr2 = r7\nr3 = r5\nr4 = r7\nr5 = 0\ncall 28"
            }
            Platform::Linux => "r3 = r5\nr4 = r7\nr1 = r9\nr2 = 0\ncall 189",
        };
        if self.random.once_in(4) {
            self.line("*(u64 *)(r5 + 0) = 1");
        }
        self.line(call);
        self.clobber(Kind::Number);
        for reg in 6..9 {
            self.set(reg, Kind::Number);
        }
    }

    /// Two bounded numbers in r6 and r7, and in r8 their sum, or something like it.
    fn numbers_and_their_sum(&mut self) {
        let time = self.dialect.time;
        let masks = [15, 31, 63];
        let mut text = format!("call {time}\nr6 = r0\ncall {time}\nr7 = r0\n");
        text += &format!(
            "r6 &= {}\nr7 &= {}\n",
            self.random.pick(&masks),
            self.random.pick(&masks)
        );
        if self.random.once_in(4) {
            text += "r6 += -3\n";
        }
        text += *self.random.pick(&[
            "r8 = r6\nr8 += r7\n",
            "r8 = r6\nr8 += r7\n",
            "r8 = r7\nr8 += r6\n",
            "w8 = w6\nw8 += w7\n",
            "r8 = r6\nr8 += r6\n",
        ]);
        text += *self
            .random
            .pick(&["", "", "", "r8 += 2\n", "r7 += 1\n", "r6 += -1\n"]);
        self.clobber(Kind::Number);
        self.line(text.trim_end());
    }

    /// A packet pointer that is moved by a number and compared, and bytes below the least of it.
    pub(super) fn moved_and_compared(&mut self) {
        let (Some(packet), Some(end)) = (self.find(&[Kind::Packet]), self.find(&[Kind::PacketEnd]))
        else {
            return;
        };
        let Some(number) = self.number() else { return };
        let (label, copy) = (self.label(), self.target());
        if [packet, end, number].contains(&copy) || number == packet || number == end {
            return;
        }
        self.line(&format!("r{number} &= 63"));
        let first = self.random.once_in(2);
        if first {
            self.at_least(number);
        }
        self.line(&format!("r{copy} = r{packet}\nr{copy} += r{number}"));
        if self.random.once_in(3) {
            let more = *self.random.pick(&[1, 2, 4, -1]);
            self.line(&format!("r{copy} += {more}"));
        }
        if self.random.once_in(3) {
            self.at_least(number);
        }
        let cond = *self.random.pick(&["<=", "<=", "<", ">"]);
        self.line(&format!("if r{copy} {cond} r{end} goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
        self.set(copy, Kind::Packet);
        if !first || self.random.once_in(3) {
            self.at_least(number);
        }
        let offset = self.random.below(10);
        let size = *self.random.pick(&["u8", "u8", "u16", "u32"]);
        self.line(&format!("r{number} = *({size} *)(r{packet} + {offset})"));
        self.set(number, Kind::Number);
    }

    /// Goes on, on all ways or on one, only where a number is so large.
    fn at_least(&mut self, number: u64) {
        let (label, least) = (self.label(), self.random.below(12));
        let (other, cond) = (
            self.number(),
            *self.random.pick(&[">=", ">=", ">", "!=", "s>="]),
        );
        if let Some(other) = other
            && self.random.once_in(4)
        {
            let value = self.random.below(30);
            self.line(&format!("if r{other} > {value} goto ok{label}"));
        }
        self.line(&format!("if r{number} {cond} {least} goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
    }

    /// Goes on, on all ways or on one, only where a number is not so large.
    fn compared(&mut self, number: u64, most: u64) {
        let label = self.label();
        let limit = most - self.random.below(10);
        if self.random.once_in(5) {
            let other = *self.random.pick(&[0, 6, 7]);
            self.line(&format!("if r{other} > 9 goto ok{label}"));
        }
        let cond = *self.random.pick(&["<=", "<=", "<", "s<="]);
        self.line(&format!("if r{number} {cond} {limit} goto ok{label}"));
        self.line(&format!("r0 = 2\nexit\nok{label}:"));
    }
}
