//! Messages from and to the protocol's table.

use crate::Cause;
use abi::ioctl::{HEADER_BYTES, MESSAGE_BYTES, NoRoom, Request, row};

/// The bytes of a request.
pub(crate) fn message(request: &Request<'_>) -> Result<Vec<u8>, Cause> {
    let Err(NoRoom { needed }) = request.encode(&mut []) else {
        return Err(Cause::TooLarge { bytes: 0 });
    };
    if needed > MESSAGE_BYTES {
        return Err(Cause::TooLarge { bytes: needed });
    }
    let mut bytes = vec![0; needed];
    match request.encode(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(NoRoom { needed }) => Err(Cause::TooLarge { bytes: needed }),
    }
}

/// The most bytes that a reply to a request can have.
pub(crate) fn room(request: &Request<'_>) -> usize {
    let reply = row(request.operation() as u32).and_then(|row| row.reply);
    match reply {
        None => HEADER_BYTES,
        Some(layout) if layout.tail().is_none() => layout.size,
        Some(_) => MESSAGE_BYTES,
    }
}

/// The fields of a reply of one kind.
macro_rules! answer {
    ($bytes:expr, $variant:ident { $($field:ident),* } => $value:expr) => {
        match abi::ioctl::Reply::decode($bytes) {
            Ok(abi::ioctl::Reply::$variant { $($field,)* .. }) => Ok($value),
            Ok(_) => Err($crate::Cause::OtherReply),
            Err(malformed) => Err($crate::Cause::Malformed(malformed)),
        }
    };
}

pub(crate) use answer;

/// The name of the operation of a request, for messages.
pub(crate) fn name(request: &Request<'_>) -> &'static str {
    row(request.operation() as u32).map_or("unknown operation", |row| row.name)
}
