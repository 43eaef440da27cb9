//! Reading one line of assembler text: tokens, and the pieces that instructions share (registers,
//! types, addresses, numbers).

use super::token::{self, Kind, Token};
use super::{AsmError, AsmErrorKind};
use crate::insn::{Operand, Reg, Size, Width};
use alloc::vec::Vec;

/// A label that an instruction names.
#[derive(Clone, Copy)]
pub(super) struct LabelRef<'t> {
    pub(super) name: &'t str,
    pub(super) column: u32,
}

/// Where a jump goes.
pub(super) enum Target<'t> {
    Offset(i32),
    Label(LabelRef<'t>),
}

pub(super) type Result<T> = core::result::Result<T, AsmError>;

/// The tokens of one line and how far they are read.
pub(super) struct Line<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    number: u32,
    end: u32,
}

impl<'t> Target<'t> {
    /// The offset, 0 while the label is open.
    pub(super) fn split(self) -> (i32, Option<LabelRef<'t>>) {
        match self {
            Target::Offset(offset) => (offset, None),
            Target::Label(label) => (0, Some(label)),
        }
    }
}

impl<'t> Line<'t> {
    pub(super) fn new(number: u32, text: &'t str) -> Result<Line<'t>> {
        let tokens = token::split(number, text)?;
        let length = u32::try_from(text.trim_end().chars().count()).unwrap_or(u32::MAX);
        Ok(Line {
            tokens,
            at: 0,
            number,
            end: length.saturating_add(1),
        })
    }

    /// Takes a label definition, if the line goes on with one.
    pub(super) fn label(&mut self) -> Option<(&'t str, u32)> {
        let [
            Token {
                kind: Kind::Word(name),
                column,
            },
            Token {
                kind: Kind::Op(":"),
                ..
            },
        ] = *self.tokens.get(self.at..)?.first_chunk()?
        else {
            return None;
        };
        self.at = self.at.saturating_add(2);
        Some((name, column))
    }
}

/// Pieces of instructions.
impl<'t> Line<'t> {
    /// `+5`, `-5` or a label.
    pub(super) fn target(&mut self) -> Result<Target<'t>> {
        let column = self.column();
        if let Some(Kind::Word(name)) = self.peek() {
            self.advance();
            return Ok(Target::Label(LabelRef { name, column }));
        }
        if !matches!(self.peek(), Some(Kind::Op("+" | "-"))) {
            return Err(self.expected("a label, `+` or `-`"));
        }
        Ok(Target::Offset(self.imm32()?))
    }

    /// A register of the width, or an immediate that it can hold.
    pub(super) fn operand(&mut self, width: Width) -> Result<Operand> {
        Ok(match (self.peek(), width) {
            (Some(Kind::Word(_)), _) => Operand::Reg(self.reg_of_width(width)?),
            (_, Width::W32) => Operand::Imm(self.bits32()?),
            (_, Width::W64) => Operand::Imm(self.imm32()?),
        })
    }

    /// `*(u32 *)`
    pub(super) fn pointer(&mut self) -> Result<(Size, bool)> {
        self.expect("*")?;
        self.cast()
    }

    pub(super) fn unsigned_pointer(&mut self) -> Result<(Size, bool)> {
        self.expect("*")?;
        self.unsigned_cast()
    }

    /// `(u32 *)`
    pub(super) fn cast(&mut self) -> Result<(Size, bool)> {
        self.expect("(")?;
        let of = self.int_type()?;
        self.expect("*")?;
        self.expect(")")?;
        Ok(of)
    }

    pub(super) fn unsigned_cast(&mut self) -> Result<(Size, bool)> {
        let column = self.column();
        match self.cast()? {
            (_, true) => Err(self.fail(column, expected("an unsigned type", "a signed type"))),
            of => Ok(of),
        }
    }

    /// `u8` to `u64`, `s8` to `s64`; true when signed.
    pub(super) fn int_type(&mut self) -> Result<(Size, bool)> {
        let (size, signed) = match self.peek() {
            Some(Kind::Word("u8")) => (Size::B, false),
            Some(Kind::Word("u16")) => (Size::H, false),
            Some(Kind::Word("u32")) => (Size::W, false),
            Some(Kind::Word("u64")) => (Size::Dw, false),
            Some(Kind::Word("s8")) => (Size::B, true),
            Some(Kind::Word("s16")) => (Size::H, true),
            Some(Kind::Word("s32")) => (Size::W, true),
            Some(Kind::Word("s64")) => (Size::Dw, true),
            _ => return Err(self.expected("a type, u8 to u64 or s8 to s64")),
        };
        self.advance();
        Ok((size, signed))
    }

    /// `(r1 + 8)`
    pub(super) fn address(&mut self) -> Result<(Reg, i16)> {
        self.expect("(")?;
        let base = self.reg()?;
        let offset = self.offset16()?;
        self.expect(")")?;
        Ok((base, offset))
    }

    /// `+ 8`, `- 8`, or nothing.
    pub(super) fn offset16(&mut self) -> Result<i16> {
        if !matches!(self.peek(), Some(Kind::Op("+" | "-"))) {
            return Ok(0);
        }
        let column = self.column();
        let value = self.integer()?;
        let range = (i64::from(i16::MIN), i16::MAX as u64);
        Ok(self.in_range(column, value, range)? as i16)
    }

    /// A register of either width.
    pub(super) fn any_reg(&mut self, what: &'static str) -> Result<(Width, Reg)> {
        let found = match self.peek() {
            Some(Kind::Word(word)) => register(word),
            _ => None,
        };
        let found = found.ok_or_else(|| self.expected(what))?;
        self.advance();
        Ok(found)
    }

    /// A 64-bit register.
    pub(super) fn reg(&mut self) -> Result<Reg> {
        self.reg_of_width(Width::W64)
    }

    pub(super) fn reg_of_width(&mut self, width: Width) -> Result<Reg> {
        let what = match width {
            Width::W32 => "a 32-bit register, w0 to w10",
            Width::W64 => "a register, r0 to r10",
        };
        let column = self.column();
        match self.any_reg(what)? {
            (found, reg) if found == width => Ok(reg),
            _ => Err(self.fail(column, expected(what, "a register of the other width"))),
        }
    }

    /// A register that holds a value of this size: `r`, and `w` too up to 32 bits.
    pub(super) fn reg_of_size(&mut self, size: Size) -> Result<Reg> {
        if size == Size::Dw {
            return self.reg();
        }
        Ok(self.any_reg("a register")?.1)
    }

    /// A signed 32-bit number.
    pub(super) fn imm32(&mut self) -> Result<i32> {
        let column = self.column();
        let value = self.integer()?;
        Ok(self.in_range(column, value, imm_range(Width::W64))? as i32)
    }

    /// A 32-bit number, signed or unsigned.
    pub(super) fn bits32(&mut self) -> Result<i32> {
        let column = self.column();
        let value = self.integer()?;
        Ok(self.in_range(column, value, imm_range(Width::W32))? as i32)
    }

    /// An optional sign and a magnitude; 65 bits are enough.
    pub(super) fn integer(&mut self) -> Result<i128> {
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let Some(Kind::Number(magnitude)) = self.peek() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        let magnitude = i128::from(magnitude);
        Ok(if negative {
            magnitude.wrapping_neg()
        } else {
            magnitude
        })
    }

    pub(super) fn in_range(
        &self,
        column: u32,
        value: i128,
        (min, max): (i64, u64),
    ) -> Result<i128> {
        if value < i128::from(min) || value > i128::from(max) {
            return Err(self.fail(column, AsmErrorKind::OutOfRange { min, max }));
        }
        Ok(value)
    }
}

/// Reading tokens.
impl<'t> Line<'t> {
    pub(super) fn peek(&self) -> Option<Kind<'t>> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<Kind<'t>> {
        Some(self.tokens.get(self.at.checked_add(ahead)?)?.kind)
    }

    pub(super) fn advance(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    pub(super) fn eat(&mut self, op: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Op(found)) if found == op);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Kind::Word(word));
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub(super) fn expect(&mut self, op: &'static str) -> Result<()> {
        if self.eat(op) {
            Ok(())
        } else {
            Err(self.expected(op))
        }
    }

    pub(super) fn keyword(&mut self, word: &'static str) -> Result<()> {
        if self.eat_word(word) {
            Ok(())
        } else {
            Err(self.expected(word))
        }
    }

    /// Column of the next token.
    pub(super) fn column(&self) -> u32 {
        self.tokens
            .get(self.at)
            .map_or(self.end, |token| token.column)
    }

    pub(super) fn fail(&self, column: u32, kind: AsmErrorKind) -> AsmError {
        AsmError {
            line: self.number,
            column,
            kind,
        }
    }

    /// An error at the token just read.
    pub(super) fn before(&self, kind: AsmErrorKind) -> AsmError {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        self.fail(last.map_or(1, |token| token.column), kind)
    }

    pub(super) fn expected(&self, expected: &'static str) -> AsmError {
        let found = self.peek().map(|kind| kind.text()).unwrap_or_default();
        self.fail(self.column(), AsmErrorKind::Expected { expected, found })
    }
}

pub(super) fn expected(expected: &'static str, found: &str) -> AsmErrorKind {
    AsmErrorKind::Expected {
        expected,
        found: found.into(),
    }
}

/// 64-bit operations sign-extend the immediate, so an unsigned pattern would change its meaning.
pub(super) const fn imm_range(width: Width) -> (i64, u64) {
    match width {
        Width::W32 => (i32::MIN as i64, u32::MAX as u64),
        Width::W64 => (i32::MIN as i64, i32::MAX as u64),
    }
}

/// `r0` to `r10`, `w0` to `w10`.
fn register(word: &str) -> Option<(Width, Reg)> {
    let (width, number) = match word.strip_prefix('r') {
        Some(number) => (Width::W64, number),
        None => (Width::W32, word.strip_prefix('w')?),
    };
    let is_canonical = number == "0" || !number.starts_with(['0', '+']);
    let reg = Reg::new(number.parse().ok()?)?;
    is_canonical.then_some((width, reg))
}
