//! Loops with a counter, short and long.

use super::{Kind, Writer};

impl Writer<'_> {
    pub(super) fn counted_loop(&mut self) {
        if self.depth >= 1 {
            return;
        }
        let (label, counter) = (self.label(), self.target());
        if self.random.below(6) == 0 {
            return self.long_loop(label, counter);
        }
        let step = *self.random.pick(&[1, 1, 1, 2, 3]);
        let limit = step * (1 + self.random.below(12));
        let cond = *self.random.pick(&["!=", "<", "<", "s<"]);
        self.line(&format!("r{counter} = 0\nloop{label}:"));
        self.body(counter, Kind::Nothing);
        self.line(&format!("r{counter} += {step}"));
        self.line(&format!("if r{counter} {cond} {limit} goto loop{label}"));
        self.set(counter, Kind::Number);
    }

    /// What a loop does, to which the counter is such a value.
    fn body(&mut self, counter: u64, kind: Kind) {
        self.set(counter, kind);
        self.depth += 1;
        for _ in 0..=self.random.below(2) {
            self.snippet();
        }
        self.depth -= 1;
    }

    /// A loop of more rounds than the verifier follows: up or down, in whole or half a register,
    /// compared in any way; sometimes the counter is not counted on one way, sometimes the bound is
    /// missed.
    fn long_loop(&mut self, label: u32, counter: u64) {
        let prefix = *self.random.pick(&["r", "r", "w"]);
        let rounds = *self.random.pick(&[70, 100, 300, 1000, 5000]);
        let step = *self.random.pick(&[1, 1, 1, 2, 3, 7]);
        let miss = *self.random.pick(&[0, 0, 0, 1]);
        let is_up = self.random.below(2) == 0;
        let (start, end, sign) = match is_up {
            true => (self.random.below(3), rounds * step + miss, ""),
            false => (rounds * step + miss, self.random.below(3), "-"),
        };
        let conds: &[&str] = match is_up {
            true => &["!=", "<", "<=", "s<", "s<="],
            false => &["!=", ">", ">=", "s>", "s>="],
        };
        let cond = *self.random.pick(conds);
        self.line(&format!("r{counter} = {start}\nloop{label}:"));
        // The counter may be a number to what the body does, which then changes it.
        let kind = *self
            .random
            .pick(&[Kind::Nothing, Kind::Nothing, Kind::Number]);
        self.body(counter, kind);
        let count = format!("{prefix}{counter} += {sign}{step}");
        if self.random.below(12) == 0 {
            let at = start + step;
            self.line(&format!("if r{counter} == {at} goto skip{label}"));
            self.line(&format!("{count}\nskip{label}:"));
        } else {
            self.line(&count);
        }
        self.line(&format!(
            "if {prefix}{counter} {cond} {end} goto loop{label}"
        ));
        self.set(counter, Kind::Number);
    }
}
