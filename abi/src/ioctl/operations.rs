//! The 46 operations: the one table of the protocol.
//!
//! A row is: number, variant, name, code that must be permitted, who may ask, when it ends; `asks`
//! gives the request and `gets` the reply: length without a tail, then the fields with their
//! offsets. From the rows follow [`Operation`], [`Request`], [`Reply`] and [`TABLE`].

use super::codec::{Malformed, NoRoom, Wire, Words, begin, check, open};
use super::{Access, Completion, Field, Guid, Handle, Kind, Layout, MapDefinition, Mode, Row};

/// The type of a field in a message.
#[rustfmt::skip]
macro_rules! type_of {
    ($life:lifetime Bool) => { bool };
    ($life:lifetime U16) => { u16 };
    ($life:lifetime U32) => { u32 };
    ($life:lifetime U64) => { u64 };
    ($life:lifetime Handle) => { Handle };
    ($life:lifetime Guid) => { Guid };
    ($life:lifetime Hash) => { [u8; 32] };
    ($life:lifetime Definition) => { MapDefinition };
    ($life:lifetime Bytes) => { &$life [u8] };
    ($life:lifetime Ids) => { Words<$life, 4> };
    ($life:lifetime Handles) => { Words<$life, 8> };
}

/// A layout from a row.
macro_rules! layout {
    ($size:literal { $($field:ident: $kind:ident @ $offset:literal),* }) => {
        Layout {
            size: $size,
            fields: &[$(Field { name: stringify!($field), offset: $offset, kind: Kind::$kind }),*],
        }
    };
}

/// Length of a message: up to the end of its tail, or all of it.
macro_rules! length {
    ($layout:expr, $($field:ident)*) => {{
        let layout: Layout = $layout;
        #[allow(unused_mut, unused_assignments, reason = "a message may have no fields")]
        let mut last = 0;
        $(last = Wire::size($field);)*
        layout.tail().map_or(layout.size, |tail| tail.offset.saturating_add(last))
    }};
}

/// Encodes one message.
macro_rules! write {
    ($out:ident, $number:expr, $layout:expr, $($field:ident @ $offset:literal)*) => {{
        let length = length!($layout, $($field)*);
        #[allow(unused_variables, reason = "a message may have no fields")]
        let message = begin($out, $number, length)?;
        $(if let Some(rest) = message.get_mut($offset..) {
            Wire::write($field, rest);
        })*
        Ok(length)
    }};
}

/// Everything that is derived from the rows.
macro_rules! operations {
    ($($number:literal $variant:ident $name:literal $mode:ident $access:ident $completion:ident
        asks $asks:literal { $($field:ident: $kind:ident @ $offset:literal),* }
        gets ($($gets:literal { $($answer:ident: $answer_kind:ident @ $answer_offset:literal),* })?);
    )*) => {
        /// What user mode can ask for; the discriminants are the numbers of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(missing_docs, reason = "the variants are the protocol's own names")]
        #[repr(u32)]
        pub enum Operation {
            $($variant = $number,)*
        }

        /// The rows, by number.
        pub static TABLE: &[Row] = &[$(Row {
            operation: Operation::$variant,
            name: $name,
            mode: Mode::$mode,
            access: Access::$access,
            completion: Completion::$completion,
            request: layout!($asks { $($field: $kind @ $offset),* }),
            reply: operations!(@reply $($gets { $($answer: $answer_kind @ $answer_offset),* })?),
        }),*];

        /// A request whose lengths and offsets are checked.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "the fields have the protocol's own names")]
        pub enum Request<'a> {
            $($variant { $($field: type_of!('a $kind)),* },)*
        }

        impl<'a> Request<'a> {
            /// Checks a message and takes it apart. Bytes after its stated length are ignored.
            ///
            /// # Errors
            ///
            /// [`Malformed`].
            pub fn decode(bytes: &'a [u8]) -> Result<Request<'a>, Malformed> {
                let (message, number) = open(bytes)?;
                let row = super::row(number).ok_or(Malformed::UnknownOperation(number))?;
                check(message, &row.request)?;
                Ok(match row.operation {
                    $(Operation::$variant => Request::$variant {
                        $($field: Wire::read(message, $offset)?),*
                    },)*
                })
            }

            /// Which operation it is.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Request::$variant { .. } => Operation::$variant,)*
                }
            }

            /// Writes the message; returns its length.
            ///
            /// # Errors
            ///
            /// [`NoRoom`] when `out` is too short or the message too long.
            pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
                match self {
                    $(Request::$variant { $($field),* } => write!(
                        out, $number, layout!($asks { $($field: $kind @ $offset),* }),
                        $($field @ $offset)*
                    ),)*
                }
            }
        }

        /// An answer. Operations without one have the variant without fields.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "the fields have the protocol's own names")]
        pub enum Reply<'a> {
            $($variant { $($($answer: type_of!('a $answer_kind)),*)? },)*
        }

        impl<'a> Reply<'a> {
            /// Checks an answer and takes it apart.
            ///
            /// # Errors
            ///
            /// [`Malformed`].
            pub fn decode(bytes: &'a [u8]) -> Result<Reply<'a>, Malformed> {
                let (message, number) = open(bytes)?;
                let row = super::row(number).ok_or(Malformed::UnknownOperation(number))?;
                check(message, &row.reply.unwrap_or(Layout::EMPTY))?;
                Ok(match row.operation {
                    $(Operation::$variant => Reply::$variant {
                        $($($answer: Wire::read(message, $answer_offset)?),*)?
                    },)*
                })
            }

            /// Which operation it answers.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Reply::$variant { .. } => Operation::$variant,)*
                }
            }

            /// Writes the message; returns its length.
            ///
            /// # Errors
            ///
            /// [`NoRoom`] when `out` is too short or the message too long.
            pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
                match self {
                    $(Reply::$variant { $($($answer),*)? } => write!(
                        out, $number,
                        operations!(@layout $($gets { $($answer: $answer_kind @ $answer_offset),* })?),
                        $($($answer @ $answer_offset)*)?
                    ),)*
                }
            }
        }
    };
    (@reply) => { None };
    (@reply $($layout:tt)+) => { Some(layout!($($layout)+)) };
    (@layout) => { Layout::EMPTY };
    (@layout $($layout:tt)+) => { layout!($($layout)+) };
}

#[rustfmt::skip] // Rows.
operations! {
    0 ResolveHelper "resolve_helper" Jit Privileged AtOnce
        asks 24 { program_handle: Handle @ 8, helper_id: Ids @ 16 }
        gets (24 { address: Bytes @ 8 });
    1 ResolveMap "resolve_map" Jit Privileged AtOnce
        asks 24 { program_handle: Handle @ 8, map_handle: Handles @ 16 }
        gets (16 { address: Handles @ 8 });
    2 CreateProgram "create_program" JitOrInterpreted Anyone AtOnce
        asks 32 { program_type: Guid @ 8, section_name_offset: U16 @ 24, program_name_offset: U16 @ 26, data: Bytes @ 28 }
        gets (16 { program_handle: Handle @ 8 });
    3 CreateMap "create_map" Any Anyone AtOnce
        asks 48 { definition: Definition @ 8, inner_map_handle: Handle @ 32, data: Bytes @ 40 }
        gets (16 { handle: Handle @ 8 });
    4 LoadCode "load_code" JitOrInterpreted Privileged AtOnce
        asks 24 { program_handle: Handle @ 8, code_type: U32 @ 16, code: Bytes @ 20 }
        gets ();
    5 MapFindElement "map_find_element" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, find_and_delete: Bool @ 16, key: Bytes @ 17 }
        gets (12 { value: Bytes @ 8 });
    6 MapUpdateElement "map_update_element" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, option: U32 @ 16, data: Bytes @ 20 }
        gets ();
    7 MapUpdateElementWithHandle "map_update_element_with_handle" Any Anyone AtOnce
        asks 32 { map_handle: Handle @ 8, value_handle: Handle @ 16, option: U32 @ 24, key: Bytes @ 28 }
        gets ();
    8 MapDeleteElement "map_delete_element" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, key: Bytes @ 16 }
        gets ();
    9 MapGetNextKey "map_get_next_key" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, previous_key: Bytes @ 16 }
        gets (24 { handle: Handle @ 8, next_key: Bytes @ 16 });
    10 QueryProgramInfo "query_program_info" Any Anyone AtOnce
        asks 16 { handle: Handle @ 8 }
        gets (20 { code_type: U32 @ 8, file_name_offset: U16 @ 12, section_name_offset: U16 @ 14, data: Bytes @ 16 });
    11 UpdatePinning "update_pinning" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, path: Bytes @ 16 }
        gets ();
    12 GetPinnedObject "get_pinned_object" Any Anyone AtOnce
        asks 12 { path: Bytes @ 8 }
        gets (16 { handle: Handle @ 8 });
    13 LinkProgram "link_program" Any Anyone AtOnce
        asks 40 { program_handle: Handle @ 8, attach_type: Guid @ 16, data: Bytes @ 32 }
        gets (16 { link_handle: Handle @ 8 });
    14 UnlinkProgram "unlink_program" Any Anyone AtOnce
        asks 48 { link_handle: Handle @ 8, program_handle: Handle @ 16, attach_type: Guid @ 24, attach_data_present: Bool @ 40, data: Bytes @ 41 }
        gets ();
    15 CloseHandle "close_handle" Any Anyone AtOnce
        asks 16 { handle: Handle @ 8 }
        gets ();
    16 GetEcFunction "get_ec_function" Jit Privileged AtOnce
        asks 12 { function: U32 @ 8 }
        gets (16 { address: U64 @ 8 });
    17 GetProgramInfo "get_program_info" Any Anyone AtOnce
        asks 32 { program_type: Guid @ 8, program_handle: Handle @ 24 }
        gets (32 { version: U16 @ 8, size: U64 @ 16, data: Bytes @ 24 });
    18 GetPinnedMapInfo "get_pinned_map_info" Any Anyone AtOnce
        asks 8 {}
        gets (32 { map_count: U16 @ 8, size: U64 @ 16, data: Bytes @ 24 });
    19 GetLinkHandleById "get_link_handle_by_id" Any Anyone AtOnce
        asks 12 { id: U32 @ 8 }
        gets (16 { handle: Handle @ 8 });
    20 GetMapHandleById "get_map_handle_by_id" Any Anyone AtOnce
        asks 12 { id: U32 @ 8 }
        gets (16 { handle: Handle @ 8 });
    21 GetProgramHandleById "get_program_handle_by_id" Any Anyone AtOnce
        asks 12 { id: U32 @ 8 }
        gets (16 { handle: Handle @ 8 });
    22 GetNextLinkId "get_next_link_id" Any Anyone AtOnce
        asks 12 { start_id: U32 @ 8 }
        gets (12 { next_id: U32 @ 8 });
    23 GetNextMapId "get_next_map_id" Any Anyone AtOnce
        asks 12 { start_id: U32 @ 8 }
        gets (12 { next_id: U32 @ 8 });
    24 GetNextProgramId "get_next_program_id" Any Anyone AtOnce
        asks 12 { start_id: U32 @ 8 }
        gets (12 { next_id: U32 @ 8 });
    25 GetObjectInfo "get_object_info" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, info: Bytes @ 16 }
        gets (16 { object_type: U32 @ 8, info: Bytes @ 12 });
    26 GetNextPinnedProgramPath "get_next_pinned_program_path" Any Anyone AtOnce
        asks 12 { start_path: Bytes @ 8 }
        gets (12 { next_path: Bytes @ 8 });
    27 BindMap "bind_map" Any Anyone AtOnce
        asks 24 { program_handle: Handle @ 8, map_handle: Handle @ 16 }
        gets ();
    28 MapQueryBuffer "map_query_buffer" Any Anyone AtOnce
        asks 24 { map_handle: Handle @ 8, index: U32 @ 16 }
        gets (24 { buffer_address: U64 @ 8, consumer_offset: U64 @ 16 });
    29 MapAsyncQuery "map_async_query" Any Anyone Pends
        asks 32 { map_handle: Handle @ 8, index: U32 @ 16, consumer_offset: U64 @ 24 }
        gets (32 { producer: U64 @ 8, consumer: U64 @ 16, lost_count: U64 @ 24 });
    30 MapWriteData "map_write_data" Any Anyone AtOnce
        asks 32 { map_handle: Handle @ 8, flags: U64 @ 16, data: Bytes @ 24 }
        gets ();
    31 LoadNativeModule "load_native_module" Native Anyone AtOnce
        asks 28 { module_id: Guid @ 8, data: Bytes @ 24 }
        gets (32 { native_module_handle: Handle @ 8, count_of_maps: U64 @ 16, count_of_programs: U64 @ 24 });
    32 LoadNativePrograms "load_native_programs" Native Anyone AtOnce
        asks 28 { module_id: Guid @ 8, pin_root_path: Bytes @ 24 }
        gets (32 { program_handle_count: U64 @ 8, map_handle_count: U64 @ 16, handles: Handles @ 24 });
    33 ProgramTestRun "program_test_run" Any Anyone Pends
        asks 48 { program_handle: Handle @ 8, repeat_count: U64 @ 16, flags: U32 @ 24, cpu: U32 @ 28, batch_size: U64 @ 32, context_offset: U16 @ 40, data: Bytes @ 42 }
        gets (40 { duration: U64 @ 8, return_value: U64 @ 16, context_offset: U64 @ 24, data: Bytes @ 32 });
    34 MapUpdateElementBatch "map_update_element_batch" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, option: U32 @ 16, data: Bytes @ 20 }
        gets (12 { count_of_elements_processed: U32 @ 8 });
    35 MapDeleteElementBatch "map_delete_element_batch" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, keys: Bytes @ 16 }
        gets (12 { count_of_elements_processed: U32 @ 8 });
    36 MapGetNextKeyValueBatch "map_get_next_key_value_batch" Any Anyone AtOnce
        asks 24 { handle: Handle @ 8, find_and_delete: Bool @ 16, previous_key: Bytes @ 17 }
        gets (12 { data: Bytes @ 8 });
    37 ProgramSetFlags "program_set_flags" Any Anyone AtOnce
        asks 24 { program_handle: Handle @ 8, flags: U64 @ 16 }
        gets ();
    38 GetNextPinnedObjectPath "get_next_pinned_object_path" Any Anyone AtOnce
        asks 16 { object_type: U32 @ 8, start_path: Bytes @ 12 }
        gets (16 { object_type: U32 @ 8, next_path: Bytes @ 12 });
    39 AuthorizeNativeModule "authorize_native_module" Native Privileged AtOnce
        asks 56 { module_id: Guid @ 8, module_hash: Hash @ 24 }
        gets ();
    40 GetCodeIntegrityState "get_code_integrity_state" Any Privileged AtOnce
        asks 8 {}
        gets (12 { hypervisor_code_integrity_enabled: Bool @ 8, test_signing_enabled: Bool @ 9 });
    41 MapSetWaitHandle "map_set_wait_handle" Any Anyone AtOnce
        asks 40 { map_handle: Handle @ 8, wait_handle: Handle @ 16, index: U64 @ 24, flags: U64 @ 32 }
        gets ();
    42 RingBufferMapMapBuffer "ring_buffer_map_map_buffer" Any Anyone AtOnce
        asks 32 { map_handle: Handle @ 8, index: U64 @ 16, section: U32 @ 24 }
        gets (24 { section_handle: U64 @ 8, view_size: U64 @ 16 });
    43 RingBufferMapUnmapBuffer "ring_buffer_map_unmap_buffer" Any Anyone AtOnce
        asks 24 { map_handle: Handle @ 8, index: U64 @ 16 }
        gets ();
    44 EpochSynchronize "epoch_synchronize" Any Anyone Pends
        asks 8 {}
        gets ();
    45 LinkSetLegacyMode "link_set_legacy_mode" Any Anyone AtOnce
        asks 16 { link_handle: Handle @ 8 }
        gets ();
}
