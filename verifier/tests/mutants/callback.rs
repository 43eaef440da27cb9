//! Functions that helpers call back: a few rounds while the helper runs, or later.

use crate::machine::{Cell, Fault, Frame, Kind, Machine, Word};
use abi::ArgKind;
use abi::Helper;
use abi::helper::{Callback, CallbackArg, CallbackTime};
use isa::Reg;
use program::MapId;

/// A function that is called a few times.
#[derive(Clone)]
pub(crate) struct Rounds {
    callback: &'static Callback,
    start: usize,
    map: Option<MapId>,
    context: Word,
    index: u64,
    end: u64,
    /// What was held before.
    held: usize,
}

/// Functions that run after one program.
const LATER: usize = 4;

impl Machine<'_, '_> {
    pub(crate) fn callback_argument(
        &mut self,
        kind: ArgKind,
        word: Word,
        map: &mut Option<MapId>,
    ) -> Result<(), Fault> {
        let Word::Pointer { object, offset } = word else {
            let null = kind == ArgKind::CallbackContext && word == Word::Number(0);
            return null.then_some(()).ok_or("a number for a callback");
        };
        match (kind, self.objects[object].kind) {
            (ArgKind::CallbackContext, Kind::Stack) => Ok(()),
            (ArgKind::Callback, Kind::Function(_)) if offset == 0 => Ok(()),
            (ArgKind::Timer, Kind::MapValue(id)) => {
                let place = self.verified.object().map(id).and_then(|map| map.timer);
                *map = Some(id);
                (place.map(i64::from) == Some(offset))
                    .then_some(())
                    .ok_or("not a timer")
            }
            _ => Err("not what a callback needs"),
        }
    }

    /// The helper has its arguments: runs the function, or puts it aside.
    pub(crate) fn call_back(
        &mut self,
        at: usize,
        helper: &Helper,
        callback: &'static Callback,
        map: Option<MapId>,
    ) -> Result<Option<usize>, Fault> {
        let word = |machine: &mut Self, kind| {
            let index = helper.args.iter().position(|arg| *arg == kind);
            index.map_or(Word::Nothing, |index| machine.top().registers[index + 1])
        };
        let function = word(self, ArgKind::Callback);
        let Word::Pointer { object, .. } = function else {
            return Err("no function");
        };
        let Kind::Function(start) = self.objects[object].kind else {
            return Err("no function");
        };
        let told = self.top().registers[1];
        let mut rounds = Rounds {
            callback,
            start,
            map,
            context: word(self, ArgKind::CallbackContext),
            index: 0,
            end: self.random.below(4),
            held: self.held(),
        };
        if let (Word::Number(told), true) = (told, callback.args.contains(&CallbackArg::Index)) {
            let told = u64::from(told as u32);
            rounds.end = told.min(4);
            // The last rounds matter most.
            rounds.index = (told - rounds.end) * self.random.below(2);
            rounds.end += rounds.index;
            if told > u64::from(abi::limits::LOOP_ROUNDS) {
                rounds.end = rounds.index;
            }
        }
        self.clobber();
        if callback.time == CallbackTime::Later {
            // A function that starts itself again would do so for ever.
            if self.frames[0].back.is_none() && self.later.len() < LATER {
                self.later.push(rounds);
            }
            rounds_over(self.top(), 0);
            return Ok(Some(at + 1));
        }
        self.round(at, rounds)
    }

    /// The next round, or on behind the helper.
    fn round(&mut self, at: usize, rounds: Rounds) -> Result<Option<usize>, Fault> {
        if rounds.index >= rounds.end {
            let number = self.random.number();
            rounds_over(self.top(), number);
            return Ok(Some(at + 1));
        }
        if self.frames.len() >= 8 {
            return Err("too many frames");
        }
        self.top().registers[0] = Word::Nothing;
        let arguments = self.arguments_of(&rounds);
        self.enter(at, arguments);
        let start = rounds.start;
        self.top().back = Some(rounds);
        Ok(Some(start))
    }

    fn arguments_of(&mut self, rounds: &Rounds) -> [Word; 5] {
        let mut arguments = [Word::Nothing; 5];
        let map = rounds.map;
        for (word, kind) in arguments.iter_mut().zip(rounds.callback.args) {
            let object = match (kind, map) {
                (CallbackArg::Index, _) => {
                    *word = Word::Number(rounds.index);
                    continue;
                }
                (CallbackArg::Context, _) => {
                    *word = rounds.context;
                    continue;
                }
                (CallbackArg::Map, Some(map)) => self.add(Kind::Map(map), 0, 0, Cell::Nothing),
                (CallbackArg::Key, Some(map)) => {
                    let size = self
                        .verified
                        .object()
                        .map(map)
                        .map_or(0, |map| map.key_size);
                    self.add(Kind::Key, 0, size as usize, Cell::Byte(0))
                }
                (CallbackArg::Value, Some(map)) => self.map_value(map),
                (CallbackArg::Object, _) => self.add(Kind::Kernel, 0, 0, Cell::Nothing),
                _ => continue,
            };
            *word = Word::Pointer { object, offset: 0 };
        }
        arguments
    }

    /// The end of one round.
    pub(crate) fn called_back(&mut self) -> Result<Option<usize>, Fault> {
        let Some(Frame {
            registers,
            stack,
            call,
            back: Some(mut rounds),
        }) = self.frames.pop()
        else {
            return Err("no callback");
        };
        self.objects[stack].alive = false;
        let Word::Number(result) = registers[Reg::R0.index()] else {
            return Err("a callback returned no number");
        };
        if result > u64::from(rounds.callback.result_most) {
            return Err("a callback returned a wrong number");
        }
        if rounds.callback.time == CallbackTime::Later {
            self.nothing_held()?;
            return Ok(self.run_later());
        }
        if self.held() != rounds.held {
            return Err("a callback holds something, or released what it should not");
        }
        rounds.index += 1;
        if result != 0 {
            rounds.index = rounds.end;
        }
        self.round(call, rounds)
    }

    /// The next function that runs when the program has ended.
    pub(crate) fn run_later(&mut self) -> Option<usize> {
        // What a program does to its own memory ends with it.
        let rounds = self.later.pop()?;
        self.frames.clear();
        let arguments = self.arguments_of(&rounds);
        self.enter(usize::MAX, arguments);
        let start = rounds.start;
        self.top().back = Some(rounds);
        Some(start)
    }

    fn held(&self) -> usize {
        self.objects.iter().filter(|object| object.held).count()
    }
}

fn rounds_over(frame: &mut Frame, result: u64) {
    frame.registers[Reg::R0.index()] = Word::Number(result);
}
