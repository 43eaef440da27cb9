//! Operations of the interpreter: 16 bytes each, operands decoded, one code per kind of work.

/// The tables from which the codes, the translation and the execution are made.
///
/// `alu`: operation, then its codes (64-bit by register, 64-bit by immediate, 32-bit by register,
/// 32-bit by immediate), then the codes of the same joined with a preceding `mov` (dst = src op
/// operand). `cond`: the same four codes of a conditional jump.
macro_rules! tables {
    ($callback:ident) => {
        $callback! {
            alu {
                (Add Add64R Add64I Add32R Add32I MovAdd64R MovAdd64I MovAdd32R MovAdd32I)
                (Sub Sub64R Sub64I Sub32R Sub32I MovSub64R MovSub64I MovSub32R MovSub32I)
                (Mul Mul64R Mul64I Mul32R Mul32I MovMul64R MovMul64I MovMul32R MovMul32I)
                (Or Or64R Or64I Or32R Or32I MovOr64R MovOr64I MovOr32R MovOr32I)
                (And And64R And64I And32R And32I MovAnd64R MovAnd64I MovAnd32R MovAnd32I)
                (Lsh Lsh64R Lsh64I Lsh32R Lsh32I MovLsh64R MovLsh64I MovLsh32R MovLsh32I)
                (Rsh Rsh64R Rsh64I Rsh32R Rsh32I MovRsh64R MovRsh64I MovRsh32R MovRsh32I)
                (Xor Xor64R Xor64I Xor32R Xor32I MovXor64R MovXor64I MovXor32R MovXor32I)
                (Arsh Arsh64R Arsh64I Arsh32R Arsh32I MovArsh64R MovArsh64I MovArsh32R MovArsh32I)
            }
            plain {
                (Div Div64R Div64I Div32R Div32I)
                (SDiv SDiv64R SDiv64I SDiv32R SDiv32I)
                (Mod Mod64R Mod64I Mod32R Mod32I)
                (SMod SMod64R SMod64I SMod32R SMod32I)
                (Mov Mov64R Mov64I Mov32R Mov32I)
            }
            cond {
                (Eq Jeq64R Jeq64I Jeq32R Jeq32I)
                (Gt Jgt64R Jgt64I Jgt32R Jgt32I)
                (Ge Jge64R Jge64I Jge32R Jge32I)
                (Set Jset64R Jset64I Jset32R Jset32I)
                (Ne Jne64R Jne64I Jne32R Jne32I)
                (Sgt Jsgt64R Jsgt64I Jsgt32R Jsgt32I)
                (Sge Jsge64R Jsge64I Jsge32R Jsge32I)
                (Lt Jlt64R Jlt64I Jlt32R Jlt32I)
                (Le Jle64R Jle64I Jle32R Jle32I)
                (Slt Jslt64R Jslt64I Jslt32R Jslt32I)
                (Sle Jsle64R Jsle64I Jsle32R Jsle32I)
            }
        }
    };
}
pub(crate) use tables;

macro_rules! define {
    (
        alu { $(($op:ident $r64:ident $i64:ident $r32:ident $i32:ident
            $mr64:ident $mi64:ident $mr32:ident $mi32:ident))* }
        plain { $(($pop:ident $pr64:ident $pi64:ident $pr32:ident $pi32:ident))* }
        cond { $(($cond:ident $cr64:ident $ci64:ident $cr32:ident $ci32:ident))* }
    ) => {
        /// What an operation does.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are operation, width and operand kind")]
        pub enum Opcode {
            $($r64, $i64, $r32, $i32, $mr64, $mi64, $mr32, $mi32,)*
            $($pr64, $pi64, $pr32, $pi32,)*
            $($cr64, $ci64, $cr32, $ci32,)*
            Neg64, Neg32,
            Sx64B, Sx64H, Sx64W, Sx32B, Sx32H,
            Le16, Le32, Le64, Swap16, Swap32, Swap64,
            LdB, LdH, LdW, LdDw, LdSxB, LdSxH, LdSxW,
            StB, StH, StW, StDw, StImmB, StImmH, StImmW, StImmDw,
            Atomic, LoadPacket,
            LoadAcquire, StoreRelease,
            Jump, MayGoto, Call, CallLocal, Exit,
        }

        use isa::{AluOp, Cond, Width};

        impl Opcode {
            /// The code of an arithmetic operation with a register or (`I`) an immediate.
            #[must_use]
            pub const fn alu(op: AluOp, width: Width, source: Source) -> Opcode {
                match (op, width, source) {
                    $((AluOp::$op, Width::W64, Source::Register) => Opcode::$r64,
                    (AluOp::$op, Width::W64, Source::Immediate) => Opcode::$i64,
                    (AluOp::$op, Width::W32, Source::Register) => Opcode::$r32,
                    (AluOp::$op, Width::W32, Source::Immediate) => Opcode::$i32,)*
                    $((AluOp::$pop, Width::W64, Source::Register) => Opcode::$pr64,
                    (AluOp::$pop, Width::W64, Source::Immediate) => Opcode::$pi64,
                    (AluOp::$pop, Width::W32, Source::Register) => Opcode::$pr32,
                    (AluOp::$pop, Width::W32, Source::Immediate) => Opcode::$pi32,)*
                }
            }

            /// The code of a conditional jump.
            #[must_use]
            pub const fn jump_if(cond: Cond, width: Width, source: Source) -> Opcode {
                match (cond, width, source) {
                    $((Cond::$cond, Width::W64, Source::Register) => Opcode::$cr64,
                    (Cond::$cond, Width::W64, Source::Immediate) => Opcode::$ci64,
                    (Cond::$cond, Width::W32, Source::Register) => Opcode::$cr32,
                    (Cond::$cond, Width::W32, Source::Immediate) => Opcode::$ci32,)*
                }
            }

            /// The code that does a 64-bit (32-bit: a 32-bit) move first, if there is one.
            #[must_use]
            pub(crate) const fn after_move(self) -> Option<(Opcode, Width, Source)> {
                Some(match self {
                    $(Opcode::$r64 => (Opcode::$mr64, Width::W64, Source::Register),
                    Opcode::$i64 => (Opcode::$mi64, Width::W64, Source::Immediate),
                    Opcode::$r32 => (Opcode::$mr32, Width::W32, Source::Register),
                    Opcode::$i32 => (Opcode::$mi32, Width::W32, Source::Immediate),)*
                    _ => return None,
                })
            }
        }
    };
}
tables!(define);

/// Where the second operand comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Register `src`.
    Register,
    /// The immediate.
    Immediate,
}

/// One operation.
///
/// Invariants, kept by the translation and relied upon by the execution: `dst`, `src` and `third`
/// are below 16; `offset` of a jump or local call, in bytes, leads to an operation of the same
/// program; the last operation does not fall through; `imm` of a call is an index of a callee.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Op {
    /// What to do.
    pub code: Opcode,
    /// Destination register.
    pub dst: u8,
    /// Source register.
    pub src: u8,
    /// Operand register of the codes with a joined move; atomic operation and size.
    pub third: u8,
    /// Memory offset, or jump distance in bytes from this operation.
    pub offset: i32,
    /// Immediate, sign-extended.
    pub imm: u64,
}

const _: () = assert!(size_of::<Op>() == 16);
