//! One instruction: checks it in the current state and says where control goes.
//!
//! The work is split by kind of instruction: `alu`, `memory`, `branch`, `call` with `argument`.

use crate::cfg;
use crate::domain::Scalar;
use crate::effect::{Effect, Parting};
use crate::explore::Env;
use crate::facts::{Facts, Memory};
use crate::reason::{Reason, WrongTarget};
use crate::state::{Frame, Role, State};
use crate::trail::Trail;
use crate::value::{Pointer, Region, Unreadable, Value};
use abi::{MapKind, Platform};
use alloc::boxed::Box;
use isa::{CallTarget, Cond, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use program::{MapDef, MapId, Program};

/// Where control goes after an instruction.
pub(crate) enum Flow {
    /// To this instruction.
    To(InsnIdx),
    /// The path ends.
    End,
    /// Into a function that the helper called here calls; its frame is not entered yet.
    CallBack(Box<Frame>),
    /// To the next instruction, and into this function at some later time.
    Later(Box<Frame>),
    /// Back into the helper that called the function of this invocation.
    Returned(u32),
    /// Both ways of a conditional jump, or of a tail call in a function.
    Fork {
        /// What it reads and learns.
        parting: Parting,
        /// The state where the condition holds.
        taken: Box<State>,
        /// Where that goes.
        target: InsnIdx,
        /// The state where it does not hold.
        fall_through: Box<State>,
    },
}

/// Set in the element number of values that a program addresses directly: one element per map.
const DIRECT: u32 = 1 << 31;

/// One instruction in its state.
pub(crate) struct Step<'s, 'a> {
    pub(crate) env: &'s Env<'a>,
    pub(crate) at: InsnIdx,
    pub(crate) state: &'s mut State,
    pub(crate) facts: &'s mut Facts,
    pub(crate) fresh: &'s mut u32,
    pub(crate) trail: &'s mut Trail,
}

impl<'s> Step<'s, '_> {
    /// Checks and performs the instruction.
    pub(crate) fn run(&mut self) -> Result<Flow, Reason> {
        let insn = self.insn()?;
        let at = self.at;
        // What it does with the stack is noted where that is found.
        if let Some(effect) = Effect::on_registers(self.env.program, insn, self.state) {
            self.trail.note(effect);
        }
        let flow = self.perform(insn);
        if matches!((insn, &flow), (Insn::JumpIf { .. }, Ok(Flow::To(_)))) {
            self.trail.note(Effect::of_decision(insn, self.state));
        }
        self.facts.reach(at);
        flow
    }

    /// The instruction.
    pub(crate) fn insn(&self) -> Result<&'s Insn, Reason> {
        let insns = &self.env.program.insns;
        insns.get(self.at.index()).ok_or(Reason::FallsOff)
    }

    fn perform(&mut self, insn: &Insn) -> Result<Flow, Reason> {
        match *insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => self.alu(op, width, dst, src)?,
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => self.mov_sx(width, dst, src, size)?,
            Insn::Neg { width, dst } => self.neg(width, dst)?,
            Insn::Endian { kind, dst, size } => self.endian(kind, dst, size)?,
            Insn::LoadImm64 { dst, imm } => self.load_imm64(insn, dst, imm)?,
            Insn::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                self.load((size, signed), dst, base, offset)?;
            }
            Insn::Store {
                size,
                base,
                offset,
                src,
            } => self.store(size, base, offset, src)?,
            Insn::Atomic { .. } => self.atomic(insn)?,
            Insn::LoadAcquire {
                size,
                dst,
                base,
                offset,
            } => {
                self.check_ordered(base, (offset, size))?;
                self.load((size, false), dst, base, offset)?;
            }
            Insn::StoreRelease {
                size,
                base,
                offset,
                src,
            } => {
                self.check_ordered(base, (offset, size))?;
                self.store(size, base, offset, Operand::Reg(src))?;
            }
            Insn::MayGoto { offset } => {
                // Which way it goes depends on a count that the program does not see.
                let target = self.at.jump(i32::from(offset));
                return self.both(target, |_, _| {});
            }
            Insn::LoadPacket { size, index, .. } => return self.load_packet(size, index),
            Insn::Jump { offset, .. } => return self.jump(self.at.jump(offset)),
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            } => {
                let target = self.at.jump(i32::from(offset));
                return self.jump_if((cond, width), dst, src, target);
            }
            Insn::Call(CallTarget::Helper(id)) => return self.call_helper(id),
            Insn::Call(CallTarget::Local(_)) => return self.call_local(insn),
            Insn::Call(CallTarget::Btf(index)) => return self.call_platform(index),
            Insn::Call(CallTarget::Register(_)) => {
                return Err(Reason::Unsupported {
                    what: "a call through a register",
                });
            }
            Insn::Exit => return self.exit(),
            Insn::Imm64High => {
                return Err(Reason::Unsupported {
                    what: "the second slot of a wide instruction",
                });
            }
        }
        self.next(insn.slots())
    }

    /// On to the next instruction, which must be in the same function.
    pub(crate) fn next(&self, slots: u32) -> Result<Flow, Reason> {
        let next = InsnIdx(self.at.0.saturating_add(slots));
        if self.env.cfg.function_of(next) != Some(self.state.top().function) {
            return Err(Reason::FallsOff);
        }
        Ok(Flow::To(next))
    }

    /// To a jump target, which the shape check has found good.
    pub(crate) fn jump(&self, target: Option<InsnIdx>) -> Result<Flow, Reason> {
        target.map(Flow::To).ok_or(Reason::Target {
            target,
            wrong: WrongTarget::OutsideFunction,
        })
    }

    fn load_imm64(&mut self, insn: &Insn, dst: Reg, imm: Imm64) -> Result<(), Reason> {
        let value = match imm {
            Imm64::Const(value) => Value::constant(value),
            Imm64::MapFd(index) => {
                let (map, _) = self.map_of(index)?;
                Value::Pointer(Pointer::to(Region::Map { map, inner: false }))
            }
            Imm64::MapValue { fd, offset } => {
                let (map, definition) = self.map_of(fd)?;
                // The elements of other kinds come and go.
                if definition.kind != MapKind::Array {
                    return Err(Reason::Unsupported {
                        what: "the address of a value of a map that is no array",
                    });
                }
                let object = DIRECT | u32::from(map.0);
                Value::Pointer(Pointer {
                    fixed: offset,
                    ..Pointer::to(Region::MapValue { map, object })
                })
            }
            Imm64::Code(_) => {
                let target = cfg::call_target(self.at, insn);
                let wrong = WrongTarget::NotAFunction;
                let start = target
                    .filter(|start| cfg::function_at(self.env.program, *start).is_some())
                    .ok_or(Reason::Target { target, wrong })?;
                Value::Pointer(Pointer::to(Region::Function { start }))
            }
            // An address that only the kernel knows; weak variables that are not there are at 0.
            Imm64::Var(_) if self.may_leak() => Value::unknown(),
            Imm64::Var(_) => {
                return Err(Reason::Unsupported {
                    what: "the address of a platform variable in programs that may not see any",
                });
            }
            Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                return Err(Reason::Unsupported {
                    what: "an unresolved map reference",
                });
            }
        };
        self.set(dst, value)
    }

    fn map_of(&self, index: i32) -> Result<(MapId, &MapDef), Reason> {
        u16::try_from(index)
            .ok()
            .map(MapId)
            .and_then(|id| Some((id, self.env.object.map(id)?)))
            .ok_or(Reason::Unsupported {
                what: "a reference to a map that does not exist",
            })
    }

    /// What a register holds, which must be readable.
    pub(crate) fn read(&self, reg: Reg) -> Result<Value, Reason> {
        match self.state.top().register(reg) {
            Value::Unreadable(why) => Err(Reason::Unreadable { reg, why }),
            value => Ok(value),
        }
    }

    /// What an operand holds; immediates are sign-extended.
    pub(crate) fn operand(&self, src: Operand) -> Result<Value, Reason> {
        match src {
            Operand::Reg(reg) => self.read(reg),
            Operand::Imm(value) => Ok(Value::constant(i64::from(value) as u64)),
        }
    }

    /// Sets a register.
    pub(crate) fn set(&mut self, reg: Reg, value: Value) -> Result<(), Reason> {
        if reg == Reg::R10 {
            return Err(Reason::FramePointerWrite);
        }
        self.state.top_mut().set(reg, value);
        Ok(())
    }

    /// A number that no other place carries.
    pub(crate) fn fresh(&mut self) -> u32 {
        *self.fresh = self.fresh.saturating_add(1);
        *self.fresh
    }

    /// May programs of this type show addresses?
    pub(crate) fn may_leak(&self) -> bool {
        self.env.program.program_type.privileged
    }

    /// Refuses to let a pointer get where others can see it.
    pub(crate) fn no_leak(&self, reg: Reg, found: Value, into: &'static str) -> Result<(), Reason> {
        if found.pointer().is_none() || self.may_leak() {
            return Ok(());
        }
        Err(Reason::Leak { reg, found, into })
    }

    /// The definition of a map that a pointer carries.
    pub(crate) fn map(&self, id: MapId) -> Option<&MapDef> {
        self.env.object.map(id)
    }

    /// Makes the argument registers unreadable, as every call does.
    pub(crate) fn clobber_arguments(&mut self) {
        let top = self.state.top_mut();
        for reg in Reg::ARGS {
            top.set(reg, Value::Unreadable(Unreadable::Clobbered));
        }
    }

    /// Nothing may be held where a program can end.
    pub(crate) fn nothing_held(&self, before: &'static str) -> Result<(), Reason> {
        if let Some(held) = self.state.references.first() {
            return Err(Reason::NotReleased {
                acquired: held.acquired,
                before,
            });
        }
        self.no_lock()
    }

    fn no_lock(&self) -> Result<(), Reason> {
        match self.state.lock {
            None => Ok(()),
            Some(_) => Err(Reason::Lock {
                what: "a spin lock is still held where the program can end",
            }),
        }
    }

    /// The legacy packet load: ends the function with 0 when the packet is too short.
    fn load_packet(&mut self, size: Size, index: Option<Reg>) -> Result<Flow, Reason> {
        if !self.env.program.program_type.legacy_packet {
            return Err(Reason::Unsupported {
                what: "a legacy packet load in this program type",
            });
        }
        let role = self.state.top().role;
        if matches!(role, Role::CalledBack { .. } | Role::Later { .. }) {
            return Err(Reason::Unsupported {
                what: "a legacy packet load in a callback",
            });
        }
        if role == Role::Called && self.state.depth() > 0 {
            self.no_lock()?;
        } else {
            self.nothing_held("a legacy packet load, which can end the program")?;
        }
        let context = self.read(Reg::R6)?;
        if !is_context(&context) {
            let reg = Reg::R6;
            return Err(Reason::NotAPointer {
                reg,
                found: context,
            });
        }
        if let Some(reg) = index {
            let found = self.read(reg)?;
            if found.pointer().is_some() {
                return Err(Reason::Leak {
                    reg,
                    found,
                    into: "as a packet offset",
                });
            }
        }
        if role == Role::Called && self.state.depth() == 0 {
            self.check_verdict(Value::constant(0))?;
        }
        self.facts.access(self.at, Some(Memory::Packet), None);
        let too_short = self.state.clone();
        self.clobber_arguments();
        self.set(Reg::R0, Value::number(Scalar::load_result(size, false)))?;
        self.may_return(too_short, Value::constant(0))
    }

    /// Is this value of r0 one that the hook understands? Linux wants to know so. On Windows hooks block
    /// what they do not understand, and programs return what they find in maps: there it must be
    /// possible.
    pub(crate) fn check_verdict(&self, found: Value) -> Result<(), Reason> {
        let range = return_range(self.env.program);
        let (Some(range), Some(scalar)) = (range, found.scalar()) else {
            return Ok(());
        };
        let (least, most) = (scalar.s32_min(), scalar.s32_max());
        let is_understood = match self.env.program.program_type.platform {
            Platform::Linux => least >= range.0 && most <= range.1,
            Platform::Windows => {
                let may_be = |cond, bound: i32| {
                    let bound = Scalar::constant(i64::from(bound) as u64);
                    Scalar::refine(cond, Width::W32, scalar, &bound).is_some()
                };
                may_be(Cond::Sge, range.0) && may_be(Cond::Le, range.1)
            }
        };
        if !is_understood {
            return Err(Reason::ReturnValue { found, range });
        }
        Ok(())
    }
}

/// The results that the hook of a program understands, when it does not take all.
pub(crate) fn return_range(program: &Program) -> Option<(i32, i32)> {
    let of_type = program.program_type.return_range;
    program
        .attach_type
        .map_or(of_type, abi::AttachType::return_range)
}

/// Is it the context pointer, unmoved?
pub(crate) fn is_context(value: &Value) -> bool {
    value.pointer().is_some_and(|pointer| {
        pointer.region == Region::Context && pointer.known_offset() == Some(0) && pointer.null == 0
    })
}
