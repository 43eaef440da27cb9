//! One line of assembler text to one instruction: recursive descent without recursion, because the
//! notation does not nest.

use super::AsmErrorKind;
use super::cursor::{LabelRef, Line, Result, expected, imm_range};
use super::token::Kind;
use crate::insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width,
};

type Parsed<'t> = (Insn, Option<LabelRef<'t>>);

impl<'t> Line<'t> {
    /// The instruction of the line, if it has one.
    pub(super) fn statement(&mut self) -> Result<Option<Parsed<'t>>> {
        if self.peek().is_none() {
            return Ok(None);
        }
        let column = self.column();
        let parsed = self.instruction()?;
        if self.peek().is_some() {
            return Err(self.expected("the end of the line"));
        }
        match parsed.0.row() {
            Some(_) => Ok(Some(parsed)),
            None => Err(self.fail(column, AsmErrorKind::NoEncoding)),
        }
    }

    fn instruction(&mut self) -> Result<Parsed<'t>> {
        match self.peek() {
            Some(Kind::Op("*")) => Ok((self.store()?, None)),
            Some(Kind::Word("exit")) => {
                self.advance();
                Ok((Insn::Exit, None))
            }
            Some(Kind::Word("goto")) => self.jump(),
            Some(Kind::Word("gotol")) => self.long_jump(),
            Some(Kind::Word("may_goto")) => self.may_goto(),
            Some(Kind::Word("store_release")) => Ok((self.store_release()?, None)),
            Some(Kind::Word("if")) => self.jump_if(),
            Some(Kind::Word("call")) => self.call(),
            Some(Kind::Word("callx")) => {
                self.advance();
                Ok((Insn::Call(CallTarget::Register(self.reg()?)), None))
            }
            Some(Kind::Word("lock")) => Ok((self.locked()?, None)),
            _ => {
                let (width, dst) = self.any_reg("an instruction")?;
                self.assignment(width, dst)
            }
        }
    }

    fn jump(&mut self) -> Result<Parsed<'t>> {
        self.advance();
        let (offset, label) = self.near()?;
        let offset = i32::from(offset);
        Ok((
            Insn::Jump {
                offset,
                long: false,
            },
            label,
        ))
    }

    fn may_goto(&mut self) -> Result<Parsed<'t>> {
        self.advance();
        let (offset, label) = self.near()?;
        Ok((Insn::MayGoto { offset }, label))
    }

    /// A target that 16 bits can say.
    fn near(&mut self) -> Result<(i16, Option<LabelRef<'t>>)> {
        let at = self.column();
        let (offset, label) = self.target()?.split();
        let too_far = AsmErrorKind::JumpTooFar {
            offset: i64::from(offset),
        };
        let offset = i16::try_from(offset).map_err(|_| self.fail(at, too_far))?;
        Ok((offset, label))
    }

    fn long_jump(&mut self) -> Result<Parsed<'t>> {
        self.advance();
        let (offset, label) = self.target()?.split();
        Ok((Insn::Jump { offset, long: true }, label))
    }

    /// `if r1 s> 5 goto out`
    fn jump_if(&mut self) -> Result<Parsed<'t>> {
        self.advance();
        let (width, dst) = self.any_reg("a register")?;
        let cond = Cond::ALL.into_iter().find(|cond| self.eat(cond.symbol()));
        let cond = cond.ok_or_else(|| self.expected("a comparison operator"))?;
        let src = self.operand(width)?;
        self.keyword("goto")?;
        let (offset, label) = self.near()?;
        Ok((
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            },
            label,
        ))
    }

    /// `call 5`, `call pc+5`, `call btf(5)`, `call label`
    fn call(&mut self) -> Result<Parsed<'t>> {
        self.advance();
        let target = match self.peek() {
            Some(Kind::Word("pc")) => {
                self.advance();
                let (offset, label) = self.target()?.split();
                return Ok((Insn::Call(CallTarget::Local(offset)), label));
            }
            Some(Kind::Word("btf")) => {
                self.advance();
                self.expect("(")?;
                let id = self.imm32()?;
                self.expect(")")?;
                CallTarget::Btf(id)
            }
            Some(Kind::Word(_)) => {
                let (offset, label) = self.target()?.split();
                return Ok((Insn::Call(CallTarget::Local(offset)), label));
            }
            _ => CallTarget::Helper(self.imm32()?),
        };
        Ok((Insn::Call(target), None))
    }

    /// `*(u32 *)(r1 + 4) = r2`
    fn store(&mut self) -> Result<Insn> {
        let (size, _) = self.unsigned_pointer()?;
        let (base, offset) = self.address()?;
        self.expect("=")?;
        let src = match self.peek() {
            Some(Kind::Word(_)) => Operand::Reg(self.reg_of_size(size)?),
            _ if size == Size::Dw => Operand::Imm(self.imm32()?),
            _ => Operand::Imm(self.bits32()?),
        };
        Ok(Insn::Store {
            size,
            base,
            offset,
            src,
        })
    }

    /// `lock *(u64 *)(r1 + 0) += r2`
    fn locked(&mut self) -> Result<Insn> {
        self.advance();
        let (size, _) = self.unsigned_pointer()?;
        let (base, offset) = self.address()?;
        let ops = [
            ("+=", AtomicOp::Add),
            ("|=", AtomicOp::Or),
            ("&=", AtomicOp::And),
            ("^=", AtomicOp::Xor),
        ];
        let op = ops.into_iter().find(|(symbol, _)| self.eat(symbol));
        let (_, op) = op.ok_or_else(|| self.expected("`+=`, `|=`, `&=` or `^=`"))?;
        let src = self.reg_of_size(size)?;
        Ok(Insn::Atomic {
            op,
            fetch: false,
            size,
            base,
            offset,
            src,
        })
    }

    /// Everything that begins with a destination register.
    fn assignment(&mut self, width: Width, dst: Reg) -> Result<Parsed<'t>> {
        if self.eat("=") {
            return self.moved(width, dst);
        }
        let ops = AluOp::ALL.into_iter().filter(|op| *op != AluOp::Mov);
        let op = ops.into_iter().find(|op| self.eat(op.symbol()));
        let op = op.ok_or_else(|| self.expected("an assignment operator"))?;
        Ok((
            Insn::Alu {
                op,
                width,
                dst,
                src: self.operand(width)?,
            },
            None,
        ))
    }

    /// What stands behind `r1 =`.
    fn moved(&mut self, width: Width, dst: Reg) -> Result<Parsed<'t>> {
        match self.peek() {
            Some(Kind::Op("*")) => Ok((self.load(width, dst)?, None)),
            Some(Kind::Op("(")) => Ok((self.sign_extended(width, dst)?, None)),
            Some(Kind::Op("-")) if matches!(self.peek_at(1), Some(Kind::Word(_))) => {
                Ok((self.negated(width, dst)?, None))
            }
            Some(Kind::Word(word)) => self.named(word, width, dst),
            _ => Ok((self.constant(width, dst)?, None)),
        }
    }

    fn negated(&mut self, width: Width, dst: Reg) -> Result<Insn> {
        self.advance();
        let column = self.column();
        if self.reg_of_width(width)? != dst {
            return Err(self.fail(
                column,
                expected("the destination register", "another register"),
            ));
        }
        Ok(Insn::Neg { width, dst })
    }

    /// `r1 = (s8)r2`
    fn sign_extended(&mut self, width: Width, dst: Reg) -> Result<Insn> {
        self.expect("(")?;
        let (size, signed) = self.int_type()?;
        if !signed {
            return Err(self.before(expected("`s8`, `s16` or `s32`", "an unsigned type")));
        }
        self.expect(")")?;
        Ok(Insn::MovSx {
            width,
            dst,
            src: self.reg_of_width(width)?,
            size,
        })
    }

    /// `r1 = *(u8 *)(r2 + 1)`, `r0 = *(u8 *)skb[r1 + 4]`
    fn load(&mut self, width: Width, dst: Reg) -> Result<Insn> {
        let start = self.column();
        let (size, signed) = self.pointer()?;
        if self.eat_word("skb") {
            let insn = self.packet(size)?;
            let fits = dst == Reg::R0 && width == Width::W64 && !signed;
            let wrong = expected(
                "`r0 = *(u8 *)skb[..]`, u16 or u32",
                "another destination or type",
            );
            return if fits {
                Ok(insn)
            } else {
                Err(self.fail(start, wrong))
            };
        }
        let (base, offset) = self.address()?;
        // A load into `w1` zero-extends; that is what the plain load does for up to 32 bits.
        if width == Width::W32 && (signed || size == Size::Dw) {
            return Err(self.fail(
                start,
                expected("a load of u8, u16 or u32 into `w`", "a wider one"),
            ));
        }
        Ok(Insn::Load {
            size,
            signed,
            dst,
            base,
            offset,
        })
    }

    /// `[16]`, `[r1]`, `[r1 + 4]`
    fn packet(&mut self, size: Size) -> Result<Insn> {
        self.expect("[")?;
        let index = match self.peek() {
            Some(Kind::Word(_)) => Some(self.reg()?),
            _ => None,
        };
        let imm = match self.peek() {
            Some(Kind::Op("]")) if index.is_some() => 0,
            _ => self.imm32()?,
        };
        self.expect("]")?;
        Ok(Insn::LoadPacket { size, index, imm })
    }

    /// A right side that begins with a word: a register or one of the functions.
    fn named(&mut self, word: &'t str, width: Width, dst: Reg) -> Result<Parsed<'t>> {
        if let Some((kind, size)) = byte_order(word) {
            self.advance();
            let column = self.column();
            let same = self.reg()? == dst && width == Width::W64;
            let wrong = expected("the destination register", "another register");
            let insn = Insn::Endian { kind, dst, size };
            return if same {
                Ok((insn, None))
            } else {
                Err(self.fail(column, wrong))
            };
        }
        if word == "load_acquire" {
            return Ok((self.load_acquire(width, dst)?, None));
        }
        if let Some(op) = word.strip_prefix("atomic_fetch_") {
            return Ok((self.fetch(op, width, dst)?, None));
        }
        if let Some((op, size)) = exchange(word) {
            return Ok((self.exchanged(op, size, dst)?, None));
        }
        if is_wide(word) && width == Width::W64 {
            let (imm, label) = self.wide(word)?;
            self.keyword("ll")?;
            return Ok((Insn::LoadImm64 { dst, imm }, label));
        }
        let src = Operand::Reg(self.reg_of_width(width)?);
        Ok((
            Insn::Alu {
                op: AluOp::Mov,
                width,
                dst,
                src,
            },
            None,
        ))
    }

    /// `r1 = load_acquire((u64 *)(r2 + 0))`
    fn load_acquire(&mut self, width: Width, dst: Reg) -> Result<Insn> {
        let column = self.column();
        self.advance();
        self.expect("(")?;
        let (size, _) = self.unsigned_cast()?;
        let (base, offset) = self.address()?;
        self.expect(")")?;
        if (width == Width::W64) != (size == Size::Dw) {
            let wrong = expected("`r` for u64 and `w` for less", "another register");
            return Err(self.fail(column, wrong));
        }
        Ok(Insn::LoadAcquire {
            size,
            dst,
            base,
            offset,
        })
    }

    /// `store_release((u64 *)(r1 + 0), r2)`
    fn store_release(&mut self) -> Result<Insn> {
        self.advance();
        self.expect("(")?;
        let (size, _) = self.unsigned_cast()?;
        let (base, offset) = self.address()?;
        self.expect(",")?;
        let src = self.reg_of_size(size)?;
        self.expect(")")?;
        Ok(Insn::StoreRelease {
            size,
            base,
            offset,
            src,
        })
    }

    /// `r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)`
    fn fetch(&mut self, op: &str, width: Width, dst: Reg) -> Result<Insn> {
        let ops = [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor];
        let op = ops.into_iter().find(|known| known.name() == op);
        let op = op.ok_or_else(|| self.expected("atomic_fetch_add, _or, _and or _xor"))?;
        self.advance();
        self.expect("(")?;
        let (size, _) = self.unsigned_cast()?;
        let (base, offset) = self.address()?;
        self.expect(",")?;
        let column = self.column();
        let src = self.reg_of_size(size)?;
        if src != dst || (width == Width::W64) != (size == Size::Dw) {
            return Err(self.fail(
                column,
                expected("the destination register", "another register"),
            ));
        }
        self.expect(")")?;
        Ok(Insn::Atomic {
            op,
            fetch: true,
            size,
            base,
            offset,
            src,
        })
    }

    /// `r2 = xchg_64(r1 + 0, r2)`, `r0 = cmpxchg_64(r1 + 0, r0, r2)`
    fn exchanged(&mut self, op: AtomicOp, size: Size, dst: Reg) -> Result<Insn> {
        self.advance();
        self.expect("(")?;
        let base = self.reg()?;
        let offset = self.offset16()?;
        self.expect(",")?;
        let column = self.column();
        let result = self.reg_of_size(size)?;
        if result != dst || (op == AtomicOp::CmpXchg && dst != Reg::R0) {
            return Err(self.fail(
                column,
                expected("the register of the result", "another register"),
            ));
        }
        let src = if op == AtomicOp::CmpXchg {
            self.expect(",")?;
            self.reg_of_size(size)?
        } else {
            result
        };
        self.expect(")")?;
        Ok(Insn::Atomic {
            op,
            fetch: true,
            size,
            base,
            offset,
            src,
        })
    }

    /// `map_fd(3)`, `map_value(3, 16)`, `code(+5)`, `code(label)`
    fn wide(&mut self, word: &str) -> Result<(Imm64, Option<LabelRef<'t>>)> {
        self.advance();
        self.expect("(")?;
        if word == "code" {
            let (offset, label) = self.target()?.split();
            self.expect(")")?;
            return Ok((Imm64::Code(offset), label));
        }
        let first = self.imm32()?;
        let mut offset = || {
            self.expect(",")?;
            self.imm32()
        };
        let imm = match word {
            "map_value" => Imm64::MapValue {
                fd: first,
                offset: offset()?,
            },
            "map_idx_value" => Imm64::MapIdxValue {
                index: first,
                offset: offset()?,
            },
            "map_idx" => Imm64::MapIdx(first),
            "var" => Imm64::Var(first),
            _ => Imm64::MapFd(first),
        };
        self.expect(")")?;
        Ok((imm, None))
    }

    /// `5` or `5 ll`
    fn constant(&mut self, width: Width, dst: Reg) -> Result<Insn> {
        let column = self.column();
        let value = self.integer()?;
        if width == Width::W64 && self.eat_word("ll") {
            let range = (i64::MIN, u64::MAX);
            let imm = Imm64::Const(self.in_range(column, value, range)? as u64);
            return Ok(Insn::LoadImm64 { dst, imm });
        }
        let imm = self.in_range(column, value, imm_range(width))? as i32;
        Ok(Insn::Alu {
            op: AluOp::Mov,
            width,
            dst,
            src: Operand::Imm(imm),
        })
    }
}

/// `le16` to `bswap64`.
fn byte_order(word: &str) -> Option<(Endian, Size)> {
    Endian::ALL.into_iter().find_map(|kind| {
        let size = match word.strip_prefix(kind.name())? {
            "16" => Size::H,
            "32" => Size::W,
            "64" => Size::Dw,
            _ => return None,
        };
        Some((kind, size))
    })
}

/// The exchanges as clang names them.
fn exchange(word: &str) -> Option<(AtomicOp, Size)> {
    Some(match word {
        "xchg_64" => (AtomicOp::Xchg, Size::Dw),
        "xchg32_32" => (AtomicOp::Xchg, Size::W),
        "cmpxchg_64" => (AtomicOp::CmpXchg, Size::Dw),
        "cmpxchg32_32" => (AtomicOp::CmpXchg, Size::W),
        _ => return None,
    })
}

fn is_wide(word: &str) -> bool {
    let names = [
        "map_fd",
        "map_value",
        "var",
        "code",
        "map_idx",
        "map_idx_value",
    ];
    names.contains(&word)
}
