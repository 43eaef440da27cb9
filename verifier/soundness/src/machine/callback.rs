//! Functions that helpers call back: a few rounds while the helper runs, or when the program has
//! ended.

use super::step::{Next, start};
use super::{Fault, Kind, Machine, NOT_MODELLED, Word};
use abi::helper::{Callback, CallbackArg, CallbackTime, Helper};
use abi::{ArgKind, DynptrKind, limits};
use isa::{InsnIdx, Reg};
use program::MapId;
use verifier::value::{Kernel, Trust};

/// A function that is called a few times.
#[derive(Clone, Debug)]
pub(crate) struct Rounds {
    callback: &'static Callback,
    start: InsnIdx,
    map: Option<MapId>,
    context: Word,
    index: u64,
    end: u64,
    /// What was held before.
    held: usize,
}

/// Functions that run after one program.
const LATER: usize = 4;
/// Rounds that are played.
const ROUNDS: u64 = 4;

impl Machine<'_, '_> {
    /// Arguments that have to do with functions called back.
    pub(super) fn callback_argument(
        &self,
        kind: ArgKind,
        word: Word,
        map: &mut Option<MapId>,
    ) -> Result<(), Fault> {
        let Word::Pointer(pointer) = word else {
            let null = kind == ArgKind::CallbackContext && word == Word::Number(0);
            return null.then_some(()).ok_or("passes a number for a callback");
        };
        match (kind, self.object(pointer.object).kind) {
            (ArgKind::CallbackContext, Kind::Stack) => Ok(()),
            (ArgKind::Callback, Kind::Function(_)) if pointer.offset == 0 => Ok(()),
            (ArgKind::Timer, Kind::MapValue(id)) => {
                let place = self.verified.object().map(id).and_then(|map| map.timer);
                *map = Some(id);
                (place.map(i64::from) == Some(pointer.offset))
                    .then_some(())
                    .ok_or("passes something else as timer")
            }
            _ => Err("passes something that a callback cannot have"),
        }
    }

    /// The helper has its arguments: runs the function, or puts it aside.
    pub(super) fn call_back(
        &mut self,
        at: InsnIdx,
        helper: &Helper,
        callback: &'static Callback,
        map: Option<MapId>,
    ) -> Next {
        let word = |machine: &Self, kind| {
            let index = helper.args.iter().position(|arg| *arg == kind);
            index.map_or(Word::Nothing, |index| machine.top().registers[index + 1])
        };
        let Word::Pointer(function) = word(self, ArgKind::Callback) else {
            return Err("passes no function");
        };
        let Kind::Function(start) = self.object(function.object).kind else {
            return Err("passes no function");
        };
        let mut rounds = Rounds {
            callback,
            start,
            map,
            context: word(self, ArgKind::CallbackContext),
            index: 0,
            end: self.random.below(ROUNDS),
            held: self.held().count(),
        };
        if callback.args.contains(&CallbackArg::Index) {
            self.choose_rounds(&mut rounds);
        }
        self.clobber();
        if callback.time == CallbackTime::Later {
            // A function that starts itself again would do so for ever.
            let is_main = self
                .frames
                .first()
                .is_some_and(|frame| frame.back.is_none());
            if is_main && self.later.len() < LATER {
                self.later.push(rounds);
            }
            return self.helper_returns(at, 0);
        }
        self.round(at, rounds)
    }

    /// Some of the rounds that the first argument asks for: the first or the last ones.
    fn choose_rounds(&mut self, rounds: &mut Rounds) {
        let Word::Number(told) = self.top().registers[Reg::R1.index()] else {
            return;
        };
        let told = u64::from(told as u32);
        let played = told.min(ROUNDS);
        rounds.index = (told - played) * self.random.below(2);
        rounds.end = rounds.index + played;
        if told > u64::from(limits::LOOP_ROUNDS) {
            rounds.end = rounds.index;
        }
    }

    fn helper_returns(&mut self, at: InsnIdx, result: u64) -> Next {
        self.set_plain(Reg::R0, Word::Number(result));
        Ok(Some(InsnIdx(at.0 + 1)))
    }

    /// The next round, or on behind the helper.
    fn round(&mut self, at: InsnIdx, rounds: Rounds) -> Next {
        if rounds.index >= rounds.end {
            let result = self.number();
            return self.helper_returns(at, result);
        }
        self.set_plain(Reg::R0, Word::Nothing);
        let arguments = self.arguments_of(&rounds)?;
        let start = rounds.start;
        self.enter((at, start), arguments)?;
        self.top_mut().back = Some(rounds);
        // What a dynamic pointer in an argument describes is there for one call.
        let stack = self.top().stack;
        for word in arguments {
            if let Word::Pointer(address) = word
                && matches!(self.object(address.object).kind, Kind::Dynptr(_))
            {
                self.object_mut(address.object).of = Some(stack);
            }
        }
        Ok(Some(start))
    }

    fn arguments_of(&mut self, rounds: &Rounds) -> Result<[Word; 5], Fault> {
        let mut arguments = [Word::Nothing; 5];
        for (word, kind) in arguments.iter_mut().zip(rounds.callback.args) {
            *word = match (kind, rounds.map) {
                (CallbackArg::Index, _) => Word::Number(rounds.index),
                (CallbackArg::Context, _) => rounds.context,
                (CallbackArg::Object, _) => {
                    start(self.kernel_object(Kernel::Unknown, Trust::Trusted))
                }
                (CallbackArg::Map, Some(map)) => {
                    start(self.add(Kind::Map { map, inner: false }, 0, 0))
                }
                (CallbackArg::Key, Some(map)) => {
                    let definition = self.verified.object().map(map);
                    let size = definition.map_or(0, |map| i64::from(map.key_size));
                    start(self.add(Kind::Key(map), 0, size))
                }
                (CallbackArg::Value, Some(map)) => start(self.map_value(map)),
                (CallbackArg::Dynptr, _) => start(self.add(Kind::Dynptr(DynptrKind::Local), 0, 0)),
                _ => return Err(NOT_MODELLED),
            };
        }
        Ok(arguments)
    }

    /// The end of one round.
    pub(super) fn called_back(&mut self) -> Next {
        let Some(frame) = self.frames.pop() else {
            return Err("left the program");
        };
        let Some(mut rounds) = frame.back else {
            return Err("left the program");
        };
        self.end(frame.stack);
        let Word::Number(result) = frame.registers[Reg::R0.index()] else {
            return Err("returns no number to a helper");
        };
        if result > u64::from(rounds.callback.result_most) {
            return Err("returns a number that the helper does not take");
        }
        if rounds.callback.time == CallbackTime::Later {
            self.nothing_held()?;
            return self.run_later();
        }
        if self.held().count() != rounds.held {
            return Err("holds something at the end of a callback, or released too much");
        }
        rounds.index += 1;
        if result != 0 {
            rounds.index = rounds.end;
        }
        self.round(frame.call, rounds)
    }

    /// The next function that runs when the program has ended.
    pub(super) fn run_later(&mut self) -> Next {
        let Some(rounds) = self.later.pop() else {
            return Ok(None);
        };
        // What a program does to its own memory ends with it.
        self.frames.clear();
        let arguments = self.arguments_of(&rounds)?;
        let start = rounds.start;
        self.enter((InsnIdx(0), start), arguments)?;
        self.top_mut().back = Some(rounds);
        Ok(Some(start))
    }
}
