//! Atomics of the models: the processor's, and before each operation the scheduler may switch.
//!
//! They have the layout of the real ones, so that memory reached by address works as it is. One thread
//! runs at a time, hence operations are sequentially consistent whatever order they ask for: these
//! models look for wrong interleavings; wrong orders are looked for in `tests/weak.rs`.

use core::sync::atomic as real;
pub(crate) use core::sync::atomic::Ordering;

/// Lets the scheduler choose who goes on.
fn choose() {
    // An operation of the scheduler's own atomics is such a point.
    let _ = shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

/// A turn of a loop that waits for another thread.
pub(crate) fn spin_loop() {
    shuttle::thread::yield_now();
}

/// A fence: operations are in order anyway.
pub(crate) fn fence(_order: Ordering) {
    choose();
}

macro_rules! atomics {
    ($($name:ident of $number:ty { $($method:ident($($argument:ident: $kind:ty),*) -> $result:ty;)* })*) => { $(
        /// An atomic of this name with a point for the scheduler before each operation.
        #[derive(Default)]
        #[repr(transparent)]
        pub(crate) struct $name(real::$name);

        #[allow(dead_code, reason = "the real ones have all of them, too")]
        impl $name {
            pub(crate) const fn new(value: $number) -> $name {
                $name(real::$name::new(value))
            }

            /// # Safety
            ///
            /// As for the real one.
            #[expect(unsafe_code, reason = "passes the obligations on")]
            pub(crate) const unsafe fn from_ptr<'a>(pointer: *mut $number) -> &'a $name {
                // SAFETY: the layout is that of the number; the caller's obligations.
                unsafe { &*pointer.cast::<$name>() }
            }

            pub(crate) fn get_mut(&mut self) -> &mut $number {
                self.0.get_mut()
            }

            $(pub(crate) fn $method(&self, $($argument: $kind),*) -> $result {
                choose();
                self.0.$method($($argument),*)
            })*

            pub(crate) fn compare_exchange(
                &self,
                old: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                choose();
                self.0.compare_exchange(old, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                old: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                self.compare_exchange(old, new, success, failure)
            }
        }
    )* };
}

/// A number's own operations beside those of all atomics.
macro_rules! numbers {
    ($($name:ident of $number:ty;)*) => {
        atomics! { $($name of $number {
            load(order: Ordering) -> $number;
            store(value: $number, order: Ordering) -> ();
            swap(value: $number, order: Ordering) -> $number;
            fetch_add(value: $number, order: Ordering) -> $number;
            fetch_sub(value: $number, order: Ordering) -> $number;
            fetch_and(value: $number, order: Ordering) -> $number;
            fetch_or(value: $number, order: Ordering) -> $number;
        })* }
    };
}

numbers! {
    AtomicU32 of u32;
    AtomicU64 of u64;
    AtomicUsize of usize;
}

atomics! {
    AtomicBool of bool {
        load(order: Ordering) -> bool;
        store(value: bool, order: Ordering) -> ();
        swap(value: bool, order: Ordering) -> bool;
    }
}
