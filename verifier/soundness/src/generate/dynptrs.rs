//! Dynamic pointers of Linux: to the packet, to records, to map values; slices and copies of them.

use super::{FUNCTIONS, Kind, Writer};
use abi::Platform;

/// Where on the stack they lie: whole, next to each other, and overlapping.
const PLACES: [u64; 4] = [128, 144, 136, 160];

impl Writer<'_> {
    pub(super) fn dynptr(&mut self) {
        if self.dialect.platform == Platform::Windows || self.depth > 0 {
            return;
        }
        match self.random.below(3) {
            0 => self.reserves(),
            _ => self.describes(),
        }
    }

    /// Made, used a few times, and left where it is.
    fn describes(&mut self) {
        let place = self.place();
        if self.random.once_in(2) {
            let flags = 0;
            self.line(&format!("r1 = r9\nr2 = {flags}\nr3 = r10\nr3 += -{place}"));
            self.kernel_function("bpf_dynptr_from_xdp");
        } else {
            let (map, size) = (self.random.below(2), self.random.below(26));
            let start = match self.random.below(3) {
                0 => "r1 = map_value(1, 16) ll".to_owned(),
                1 => "r1 = r10\nr1 += -48".to_owned(),
                _ => format!("r1 = map_value({map}, 0) ll"),
            };
            let text = format!("{start}\nr2 = {size}\nr3 = 0\nr4 = r10\nr4 += -{place}\ncall 197");
            self.line(&text);
            self.clobber(Kind::Number);
        }
        for _ in 0..self.random.below(4) {
            self.use_dynptr(place);
        }
    }

    /// A record must be given back, whether it was got or not.
    fn reserves(&mut self) {
        let (place, size) = (self.place(), 8 * self.random.below(4));
        self.line(&format!(
            "r1 = map_fd(2) ll\nr2 = {size}\nr3 = 0\nr4 = r10\nr4 += -{place}\ncall 198"
        ));
        self.clobber(Kind::Number);
        for _ in 0..self.random.below(3) {
            self.use_dynptr(place);
        }
        if !self.random.once_in(12) {
            let call = 199 + self.random.below(2);
            self.line(&format!("r1 = r10\nr1 += -{place}\nr2 = 0\ncall {call}"));
            self.clobber(Kind::Nothing);
        }
        if self.random.once_in(8) {
            self.use_dynptr(place);
        }
    }

    fn use_dynptr(&mut self, place: u64) {
        let (offset, length) = (self.random.below(6), self.random.below(17));
        match self.random.below(12) {
            0..3 => self.slice(place),
            3 => {
                self.line(&format!(
                    "r1 = r10\nr1 += -{place}\nr2 = {offset}\nr3 = {length}\ncall 203"
                ));
                self.clobber(Kind::Nothing);
                self.keep_slice(length);
            }
            4 => {
                self.line(&format!(
                    "r1 = r10\nr1 += -64\nr2 = {length}\nr3 = r10\nr3 += -{place}\n\
                     r4 = {offset}\nr5 = 0\ncall 201"
                ));
                self.clobber(Kind::Number);
            }
            5 => {
                self.line("*(u64 *)(r10 - 64) = 1\n*(u64 *)(r10 - 56) = 1");
                self.line(&format!(
                    "r1 = r10\nr1 += -{place}\nr2 = {offset}\nr3 = r10\nr3 += -64\n\
                     r4 = {length}\nr5 = 0\ncall 202"
                ));
                self.clobber(Kind::Number);
                if !self.random.once_in(3) {
                    self.packet_moved();
                }
            }
            6 => {
                let copy = self.place();
                self.line(&format!(
                    "r1 = r10\nr1 += -{place}\nr2 = r10\nr2 += -{copy}"
                ));
                self.kernel_function("bpf_dynptr_clone");
            }
            7 => {
                self.line(&format!("r1 = r10\nr1 += -{place}\nr2 = {offset}\nr3 = 9"));
                self.kernel_function("bpf_dynptr_adjust");
            }
            8 => {
                let what = *self.random.pick(&["bpf_dynptr_size", "bpf_dynptr_is_null"]);
                self.line(&format!("r1 = r10\nr1 += -{place}"));
                self.kernel_function(what);
            }
            // What should not be done with one.
            9 if self.random.once_in(3) => {
                let into = self.random.below(4) * 8;
                let at = place.saturating_sub(into);
                self.line(&format!("*(u64 *)(r10 - {at}) = 7"));
            }
            10 if self.random.once_in(4) => {
                self.line(&format!("r8 = *(u64 *)(r10 - {place})"));
                self.set(8, Kind::Number);
            }
            _ => self.nested(),
        }
    }

    /// A slice, with or without a buffer, which may be the slice.
    fn slice(&mut self, place: u64) {
        let (offset, length) = (self.random.below(6), 1 + self.random.below(16));
        let buffer = *self.random.pick(&[
            "r3 = 0",
            "r3 = r10\nr3 += -96",
            "r3 = r10\nr3 += -96",
            "r3 = r10\nr3 += -136",
            "r3 = map_value(1, 0) ll",
        ]);
        self.line(&format!(
            "r1 = r10\nr1 += -{place}\nr2 = {offset}\n{buffer}\nr4 = {length}"
        ));
        let which = *self
            .random
            .pick(&["bpf_dynptr_slice", "bpf_dynptr_slice_rdwr"]);
        self.kernel_function(which);
        self.keep_slice(length);
    }

    /// Looks at a slice in r0, now or later, or changes it.
    fn keep_slice(&mut self, length: u64) {
        let label = self.label();
        self.line(&format!("if r0 == 0 goto none{label}"));
        let reg = 6 + self.random.below(3);
        self.line(&format!("r{reg} = r0"));
        let before = self.kinds;
        self.set(reg, Kind::Slice);
        for _ in 0..self.random.below(3) {
            self.nested();
        }
        if self.random.once_in(12) {
            self.adjust_head();
        }
        let offset = match self.random.below(8) {
            0 => length,
            _ => self.random.below(length.max(1)),
        };
        match self.random.below(5) {
            0 => self.line(&format!("*(u8 *)(r{reg} + {offset}) = 1")),
            1 => {
                self.line("r5 = *(u64 *)(r10 - 96)");
            }
            _ => self.line(&format!("r5 = *(u8 *)(r{reg} + {offset})")),
        }
        self.line(&format!("none{label}:"));
        for (now, then) in self.kinds.iter_mut().zip(before) {
            if *now != then {
                *now = Kind::Nothing;
            }
        }
    }

    /// Something else in between, without further dynamic pointers.
    fn nested(&mut self) {
        self.depth += 1;
        self.snippet();
        self.depth -= 1;
    }

    fn kernel_function(&mut self, name: &str) {
        let index = FUNCTIONS.iter().position(|one| *one == name);
        self.line(&format!("call btf({})", index.unwrap_or(0)));
        self.clobber(Kind::Number);
    }

    fn place(&mut self) -> u64 {
        match self.random.below(8) {
            at @ 0..4 => PLACES[at as usize],
            _ => PLACES[0],
        }
    }
}
