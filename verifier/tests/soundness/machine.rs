//! A machine with exact memory: regions far apart, initialised bytes known, no mercy.

use super::generate::Random;
use isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width, semantics};

pub(crate) const KEY_BYTES: u32 = 4;
pub(crate) const VALUE_BYTES: u32 = 24;

const CONTEXT: u64 = 0x1_1000_0000;
const PACKET: u64 = 0x2_2000_0000;
const STACK: u64 = 0x3_3000_0000;
const VALUE: u64 = 0x4_4000_0000;
const MAP: u64 = 0x5_5000_0000;
const STACK_BYTES: u64 = 512;
const STEPS: u32 = 200_000;

/// Why a run ended other than by `exit`.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) at: InsnIdx,
    pub(crate) why: String,
}

struct Region {
    base: u64,
    /// `None` is a byte that must not be read before it is written.
    bytes: Vec<Option<u8>>,
    writable: bool,
}

/// One run of one program.
pub(crate) struct Machine<'a> {
    insns: &'a [Insn],
    random: &'a mut Random,
    registers: [Option<u64>; Reg::COUNT],
    regions: Vec<Region>,
    calls: Vec<(InsnIdx, [Option<u64>; Reg::COUNT])>,
    moves: u64,
}

type Outcome<T> = Result<T, String>;

impl<'a> Machine<'a> {
    pub(crate) fn new(insns: &'a [Insn], random: &'a mut Random) -> Machine<'a> {
        let mut machine = Machine {
            insns,
            random,
            registers: [None; Reg::COUNT],
            regions: Vec::new(),
            calls: Vec::new(),
            moves: 0,
        };
        machine.registers[1] = Some(CONTEXT);
        machine.registers[10] = Some(STACK + STACK_BYTES);
        machine.new_frame(STACK);
        machine.new_packet();
        machine
    }

    fn new_frame(&mut self, base: u64) {
        self.regions.retain(|region| region.base != base);
        self.regions.push(Region {
            base,
            bytes: vec![None; STACK_BYTES as usize],
            writable: true,
        });
    }

    /// A packet of another length at another place, and a context that says so.
    fn new_packet(&mut self) {
        self.moves += 1;
        let base = PACKET + (self.moves << 20);
        let length = self.random.below(80);
        self.regions
            .retain(|region| region.base >> 28 != PACKET >> 28 && region.base != CONTEXT);
        let bytes = self.random_bytes(length);
        self.regions.push(Region {
            base,
            bytes,
            writable: true,
        });
        let interface = self.random.value() as u32;
        let fields = [base, base + length, base, u64::from(interface)];
        let bytes = fields
            .iter()
            .flat_map(|field| field.to_le_bytes())
            .map(Some);
        self.regions.push(Region {
            base: CONTEXT,
            bytes: bytes.take(28).collect(),
            writable: false,
        });
    }

    fn random_bytes(&mut self, length: u64) -> Vec<Option<u8>> {
        (0..length)
            .map(|_| Some(self.random.value() as u8))
            .collect()
    }

    /// Runs to the end; the result is r0.
    pub(crate) fn run(&mut self) -> Result<u64, Stop> {
        let mut at = InsnIdx(0);
        for _ in 0..STEPS {
            let stop = |why| Stop { at, why };
            let insn = self.insns.get(at.index()).copied();
            let insn = insn.ok_or_else(|| stop("ran off the program".into()))?;
            match self.step(at, insn).map_err(stop)? {
                Some(next) => at = next,
                None => return self.get(Reg::R0).map_err(stop),
            }
        }
        Err(Stop {
            at,
            why: format!("not finished after {STEPS} steps"),
        })
    }

    fn step(&mut self, at: InsnIdx, insn: Insn) -> Outcome<Option<InsnIdx>> {
        let mut next = InsnIdx(at.0 + insn.slots());
        let jump = |offset: i32| at.jump(offset).ok_or("jump out of range");
        match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let right = self.operand(src)?;
                let left = if op == AluOp::Mov { 0 } else { self.get(dst)? };
                self.set(dst, semantics::alu(op, width, left, right));
            }
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => {
                let value = semantics::mov_sx(width, size, self.get(src)?);
                self.set(dst, value);
            }
            Insn::Neg { width, dst } => {
                let value = semantics::neg(width, self.get(dst)?);
                self.set(dst, value);
            }
            Insn::Endian { kind, dst, size } => {
                let value = semantics::endian(kind, size, self.get(dst)?);
                self.set(dst, value);
            }
            Insn::LoadImm64 {
                dst,
                imm: Imm64::Const(value),
            } => self.set(dst, value),
            Insn::LoadImm64 {
                dst,
                imm: Imm64::MapFd(_),
            } => self.set(dst, MAP),
            Insn::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                let address = self.address(base, offset)?;
                let value = semantics::load_extend(size, signed, self.read(address, size)?);
                self.set(dst, value);
            }
            Insn::Store {
                size,
                base,
                offset,
                src,
            } => {
                let address = self.address(base, offset)?;
                let value = self.operand(src)?;
                self.write(address, size, value)?;
            }
            Insn::Atomic {
                op,
                fetch,
                size,
                base,
                offset,
                src,
            } => {
                let address = self.address(base, offset)?;
                let (old, operand) = (self.read(address, size)?, self.get(src)?);
                let compare = op == isa::AtomicOp::CmpXchg;
                let expected = if compare { self.get(Reg::R0)? } else { 0 };
                let new = semantics::atomic(op, size, old, operand, expected);
                self.write(address, size, new)?;
                if compare {
                    self.set(Reg::R0, old);
                } else if fetch {
                    self.set(src, old);
                }
            }
            Insn::Jump { offset, .. } => next = jump(offset)?,
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            } => {
                let (left, right) = (self.get(dst)?, self.operand(src)?);
                if semantics::cond(cond, width, left, right) {
                    next = jump(i32::from(offset))?;
                }
            }
            Insn::Call(CallTarget::Helper(id)) => self.helper(id)?,
            Insn::Call(CallTarget::Local(offset)) => {
                self.calls.push((next, self.registers));
                let frame = STACK + ((self.calls.len() as u64) << 16);
                self.new_frame(frame);
                self.registers[0] = None;
                self.registers[6..10].fill(None);
                self.registers[10] = Some(frame + STACK_BYTES);
                next = jump(offset)?;
            }
            Insn::Exit => return self.leave(),
            other => return Err(format!("{other} is not generated")),
        }
        Ok(Some(next))
    }

    fn leave(&mut self) -> Outcome<Option<InsnIdx>> {
        let Some((next, saved)) = self.calls.pop() else {
            return Ok(None);
        };
        let frame = STACK + ((self.calls.len() as u64 + 1) << 16);
        self.regions.retain(|region| region.base != frame);
        self.registers[6..].copy_from_slice(&saved[6..]);
        self.registers[1..6].fill(None);
        Ok(Some(next))
    }

    fn get(&self, reg: Reg) -> Outcome<u64> {
        self.registers[reg.index()].ok_or_else(|| format!("{reg} is not initialised"))
    }

    fn set(&mut self, reg: Reg, value: u64) {
        self.registers[reg.index()] = Some(value);
    }

    fn operand(&self, operand: Operand) -> Outcome<u64> {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(i64::from(imm) as u64),
        }
    }

    fn address(&self, base: Reg, offset: i16) -> Outcome<u64> {
        Ok(self.get(base)?.wrapping_add(i64::from(offset) as u64))
    }

    fn bytes(&mut self, address: u64, length: u64) -> Outcome<(&mut [Option<u8>], bool)> {
        for region in &mut self.regions {
            let Some(start) = address.checked_sub(region.base) else {
                continue;
            };
            let end = start.saturating_add(length);
            if end <= region.bytes.len() as u64 {
                return Ok((
                    &mut region.bytes[start as usize..end as usize],
                    region.writable,
                ));
            }
        }
        Err(format!("{length} bytes at {address:#x} are in no region"))
    }

    fn read(&mut self, address: u64, size: Size) -> Outcome<u64> {
        let (bytes, _) = self.bytes(address, u64::from(size.bytes()))?;
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(bytes) {
            *to = from.ok_or_else(|| format!("byte near {address:#x} is not initialised"))?;
        }
        Ok(u64::from_le_bytes(value))
    }

    fn write(&mut self, address: u64, size: Size, value: u64) -> Outcome<()> {
        let (bytes, writable) = self.bytes(address, u64::from(size.bytes()))?;
        if !writable {
            return Err(format!("{address:#x} is read-only"));
        }
        for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
            *to = Some(from);
        }
        Ok(())
    }

    fn readable(&mut self, reg: Reg, length: u64) -> Outcome<()> {
        let address = self.get(reg)?;
        let (bytes, _) = self.bytes(address, length)?;
        if bytes.contains(&None) {
            return Err(format!(
                "helper reads uninitialised bytes near {address:#x}"
            ));
        }
        Ok(())
    }

    fn helper(&mut self, id: i32) -> Outcome<()> {
        let result = match id {
            1 => self.lookup()?,
            2 => {
                self.is_map()?;
                self.readable(Reg::R2, u64::from(KEY_BYTES))?;
                self.readable(Reg::R3, u64::from(VALUE_BYTES))?;
                self.get(Reg::R4)?;
                0
            }
            6 | 9 => self.random.value(),
            24 => self.memset()?,
            65536 => {
                self.get(Reg::R2)?;
                if self.get(Reg::R1)? != CONTEXT {
                    return Err("r1 is not the context".into());
                }
                self.new_packet();
                0
            }
            _ => return Err(format!("helper {id} is not generated")),
        };
        self.registers[1..6].fill(None);
        self.set(Reg::R0, result);
        Ok(())
    }

    fn is_map(&self) -> Outcome<()> {
        match self.get(Reg::R1)? {
            MAP => Ok(()),
            other => Err(format!("{other:#x} is no map")),
        }
    }

    fn lookup(&mut self) -> Outcome<u64> {
        self.is_map()?;
        self.readable(Reg::R2, u64::from(KEY_BYTES))?;
        if self.random.below(3) == 0 {
            return Ok(0);
        }
        let base = VALUE + (self.random.below(4) << 16);
        if self.bytes(base, 1).is_err() {
            let bytes = self.random_bytes(u64::from(VALUE_BYTES));
            self.regions.push(Region {
                base,
                bytes,
                writable: true,
            });
        }
        Ok(base)
    }

    fn memset(&mut self) -> Outcome<u64> {
        let (to, length) = (self.get(Reg::R1)?, self.get(Reg::R2)?);
        let byte = semantics::alu(AluOp::And, Width::W64, self.get(Reg::R3)?, 0xff);
        if length == 0 {
            return Ok(to);
        }
        let (bytes, writable) = self.bytes(to, length)?;
        if !writable {
            return Err(format!("helper writes to {to:#x}, which is read-only"));
        }
        bytes.fill(Some(byte as u8));
        Ok(to)
    }
}
