//! The epoch under the memory model of the language: all orders that it allows, for two or three
//! threads.
//!
//! The runtime's own `epoch.rs` is compiled here with loom's atomics. Loom knows sequentially consistent
//! fences but no such accesses; each is therefore a fence in front of a load and behind a writing
//! operation, which is how processors without such accesses get them. What is read under the epoch goes
//! through the same loads as in `raw/published.rs` and `raw/table.rs`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test may stop; it uses a part of the epoch"
)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// What `epoch.rs` takes from the runtime.
pub trait Platform {
    /// Lets others run.
    fn relax(&self);
}

/// What `epoch.rs` takes from the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// No memory.
    NoMemory,
}

mod atomic {
    //! Loom's atomics with sequentially consistent accesses made of fences.

    use Ordering::SeqCst;
    pub(crate) use loom::sync::atomic::{Ordering, fence};

    macro_rules! atomics {
        ($($name:ident of $number:ty;)*) => { $(
            #[derive(Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn new(value: $number) -> $name {
                    $name(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $number {
                    if order == SeqCst {
                        fence(SeqCst);
                        return self.0.load(Ordering::Acquire);
                    }
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $number, order: Ordering) {
                    writing(order, |order| match order {
                        Ordering::AcqRel => self.0.store(value, Ordering::Release),
                        weaker => self.0.store(value, weaker),
                    });
                }

                pub(crate) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                    writing(order, |order| self.0.fetch_add(value, order))
                }

                pub(crate) fn fetch_sub(&self, value: $number, order: Ordering) -> $number {
                    writing(order, |order| self.0.fetch_sub(value, order))
                }

                pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                    writing(order, |order| self.0.swap(value, order))
                }

                pub(crate) fn compare_exchange(
                    &self,
                    old: $number,
                    new: $number,
                    success: Ordering,
                    _failure: Ordering,
                ) -> Result<$number, $number> {
                    writing(success, |order| {
                        self.0.compare_exchange(old, new, order, Ordering::Acquire)
                    })
                }
            }
        )* };
    }

    /// A writing operation, with a fence behind it when it is sequentially consistent.
    fn writing<R>(order: Ordering, run: impl FnOnce(Ordering) -> R) -> R {
        if order != SeqCst {
            return run(order);
        }
        let result = run(Ordering::AcqRel);
        fence(SeqCst);
        result
    }

    atomics! {
        AtomicU64 of u64;
        AtomicUsize of usize;
    }
}

extern crate alloc;

#[path = "../../core/src/epoch.rs"]
pub mod epoch;

use atomic::{AtomicUsize, Ordering};
use epoch::{Epoch, FOLLOW, Guard};

/// A place that names one of two values, and the values.
struct World {
    epoch: Epoch,
    place: AtomicUsize,
    /// Loom reports any access that is not ordered with the one that ends a value's life.
    values: [UnsafeCell<bool>; 2],
}

// SAFETY is loom's: the cells are what is being checked.
fn read(world: &World, cpu: u32) {
    read_under(world, world.epoch.pin(cpu));
}

fn read_under(world: &World, pinned: Guard<'_>) {
    let at = world.place.load(FOLLOW);
    let is_over = world.values[at].with(peek);
    assert!(!is_over, "a value was read after its end");
    drop(pinned);
}

#[expect(unsafe_code, reason = "loom's cells give pointers")]
fn peek(value: *const bool) -> bool {
    // SAFETY: loom checks that no writer runs meanwhile.
    unsafe { *value }
}

#[expect(unsafe_code, reason = "loom's cells give pointers")]
fn end(value: *mut bool) {
    // SAFETY: loom checks that nobody else uses it meanwhile.
    unsafe { *value = true };
}

/// Puts the second value in the first one's place and ends the first when the epoch says so.
fn replace(world: &World) {
    let old = world.place.swap(1, Ordering::AcqRel);
    let stamp = world.epoch.retire_stamp();
    for _ in 0..3 {
        world.epoch.try_advance();
    }
    if world.epoch.is_over(stamp) {
        world.values[old].with_mut(end);
    }
}

fn world() -> Arc<World> {
    Arc::new(World {
        epoch: Epoch::new(2).unwrap(),
        place: AtomicUsize::new(0),
        values: [false, false].map(UnsafeCell::new),
    })
}

/// Tries all orders with up to so many switches away from a thread that could go on; one more when
/// `SOAK` is set.
fn check(switches: usize, model: impl Fn() + Send + Sync + 'static) {
    let more = usize::from(std::env::var_os("SOAK").is_some());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches + more);
    builder.check(model);
}

#[test]
fn a_reader_is_waited_for() {
    check(5, || {
        let world = world();
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                read(&world, 0);
                read(&world, 1);
            })
        };
        replace(&world);
        reader.join().unwrap();
    });
}

/// Another thread advances the epoch meanwhile, with a look at the readers that may be out of date: a
/// counted reader that does not look at the epoch again is lost here, within five switches.
fn advanced_by_another(switches: usize, pin: for<'a> fn(&'a Epoch, u32) -> Guard<'a>) {
    check(switches, move || {
        let world = world();
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || read_under(&world, pin(&world.epoch, 0)))
        };
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.epoch.try_advance();
                world.epoch.try_advance();
            })
        };
        let old = world.place.swap(1, Ordering::AcqRel);
        let stamp = world.epoch.retire_stamp();
        world.epoch.try_advance();
        if world.epoch.is_over(stamp) {
            world.values[old].with_mut(end);
        }
        reader.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn whoever_advances_the_epoch() {
    advanced_by_another(4, Epoch::pin);
}

#[test]
fn whoever_advances_the_epoch_of_counted_readers() {
    advanced_by_another(5, Epoch::pin_beside);
}

/// Readers of one processor: who finds the place taken is counted, and who comes after a reader has the
/// same place.
#[test]
fn readers_that_share_a_processor() {
    check(3, || {
        let world = world();
        let readers = [0, 0].map(|cpu| {
            let world = Arc::clone(&world);
            thread::spawn(move || read(&world, cpu))
        });
        replace(&world);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// A reader inside of another one on its own processor.
#[test]
fn a_reader_interrupts_another() {
    check(5, || {
        let world = world();
        let reader = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let outer = world.epoch.pin(0);
                let at = world.place.load(FOLLOW);
                read(&world, 0);
                assert!(
                    !world.values[at].with(peek),
                    "an inner reader ended an outer one"
                );
                drop(outer);
            })
        };
        replace(&world);
        reader.join().unwrap();
    });
}
