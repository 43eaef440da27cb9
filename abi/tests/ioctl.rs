//! The device protocol: the table is consistent, and messages survive their codecs.

use abi::ioctl::{
    Handle, Kind, Layout, MESSAGE_BYTES, Malformed, MapDefinition, NoRoom, Reply, Request, Row,
    TABLE, Words,
};

const TAIL: usize = 24;

#[test]
fn rows_stand_at_their_numbers() {
    assert_eq!(TABLE.len(), 46);
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.operation as usize, index, "{}", row.name);
    }
}

#[test]
fn fields_follow_each_other_and_fill_the_message() {
    for row in TABLE {
        for layout in layouts(row) {
            let mut end = 8;
            for field in layout.fields {
                assert!(field.offset >= end, "{}.{} overlaps", row.name, field.name);
                assert!(
                    field.offset - end < 8,
                    "{}.{} leaves a gap",
                    row.name,
                    field.name
                );
                end = field.offset + field.kind.size().unwrap_or(0);
            }
            assert!(layout.size >= end, "{} is too short", row.name);
            assert!(layout.size - end <= 16, "{} is too long", row.name);
            let tails = layout
                .fields
                .iter()
                .filter(|field| field.kind.size().is_none());
            assert_eq!(
                tails.count(),
                usize::from(layout.tail().is_some()),
                "{}",
                row.name
            );
        }
    }
}

#[test]
fn every_message_survives_its_codec() {
    for row in TABLE {
        let bytes = message(row, &row.request);
        let request = Request::decode(&bytes).unwrap();
        assert_eq!(request.operation(), row.operation);
        let mut out = vec![0xee; bytes.len()];
        assert_eq!(request.encode(&mut out), Ok(bytes.len()), "{}", row.name);
        assert_eq!(out, bytes, "{}", row.name);

        let bytes = message(row, &row.reply.unwrap_or(Layout::EMPTY));
        let reply = Reply::decode(&bytes).unwrap();
        assert_eq!(reply.operation(), row.operation);
        let mut out = vec![0xee; bytes.len()];
        assert_eq!(reply.encode(&mut out), Ok(bytes.len()), "{}", row.name);
        assert_eq!(out, bytes, "{}", row.name);
    }
}

#[test]
fn a_message_that_is_cut_is_refused() {
    for row in TABLE {
        let bytes = message(row, &row.request);
        for length in 0..bytes.len() {
            // The stated length stays: the bytes are not there.
            assert!(
                Request::decode(&bytes[..length]).is_err(),
                "{} {length}",
                row.name
            );
            // The stated length is cut too.
            let mut short = bytes[..length].to_vec();
            if length >= 8 {
                short[..2].copy_from_slice(&(length as u16).to_le_bytes());
                let expected = length >= row.request.least();
                let whole = row.request.tail().is_none_or(|tail| match tail.kind {
                    Kind::Ids => (length.saturating_sub(tail.offset)).is_multiple_of(4),
                    Kind::Handles => (length.saturating_sub(tail.offset)).is_multiple_of(8),
                    _ => true,
                });
                assert_eq!(
                    Request::decode(&short).is_ok(),
                    expected && whole,
                    "{} {length}",
                    row.name
                );
            }
        }
    }
}

#[test]
fn a_fixed_message_with_more_is_refused() {
    for row in TABLE.iter().filter(|row| row.request.tail().is_none()) {
        let mut bytes = message(row, &row.request);
        bytes.push(0);
        let length = bytes.len();
        bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
        let expected = Malformed::Length {
            length,
            expected: row.request.size,
        };
        assert_eq!(Request::decode(&bytes), Err(expected), "{}", row.name);
    }
}

#[test]
fn what_lies_behind_the_message_is_ignored() {
    let row = &TABLE[15];
    let mut bytes = message(row, &row.request);
    bytes.extend([0xaa; 100]);
    assert!(Request::decode(&bytes).is_ok());
}

#[test]
fn unknown_operations_are_refused() {
    for number in [46, 47, 255, u32::MAX] {
        let mut bytes = vec![8, 0, 0, 0];
        bytes.extend(number.to_le_bytes());
        assert_eq!(
            Request::decode(&bytes),
            Err(Malformed::UnknownOperation(number))
        );
    }
}

/// The bytes of `ebpf_operation_create_map_request_t` for a hash map named `m`.
#[test]
fn create_map_has_the_documented_bytes() {
    let request = Request::CreateMap {
        definition: MapDefinition {
            map_type: 1,
            key_size: 4,
            value_size: 8,
            max_entries: 10,
            inner_map_id: 0,
            pinning: 1,
        },
        inner_map_handle: Handle::INVALID,
        data: b"m",
    };
    let mut out = [0; 64];
    let length = request.encode(&mut out).unwrap();
    #[rustfmt::skip]
    let expected = [
        41, 0, 0, 0, 3, 0, 0, 0,
        1, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        255, 255, 255, 255, 255, 255, 255, 255,
        b'm',
    ];
    assert_eq!(out[..length], expected);
    assert_eq!(Request::decode(&out), Ok(request));
}

#[test]
fn a_short_buffer_says_what_is_needed() {
    let reply = Reply::MapFindElement { value: &[1, 2, 3] };
    assert_eq!(reply.encode(&mut [0; 10]), Err(NoRoom { needed: 11 }));
    let long = vec![0; MESSAGE_BYTES];
    let reply = Reply::MapFindElement { value: &long };
    let needed = MESSAGE_BYTES + 8;
    assert_eq!(reply.encode(&mut vec![0; needed]), Err(NoRoom { needed }));
}

#[test]
fn words_are_read_one_by_one() {
    let bytes: Vec<u8> = (1..=16).collect();
    let words: Words<'_, 4> = Words::new(&bytes).unwrap();
    let expected = vec![0x0403_0201, 0x0807_0605, 0x0c0b_0a09, 0x100f_0e0d];
    assert_eq!(words.iter().collect::<Vec<_>>(), expected);
    assert_eq!(words.len(), 4);
    assert!(Words::<8>::new(&bytes[..15]).is_none());
}

fn layouts(row: &Row) -> impl Iterator<Item = Layout> {
    [Some(row.request), row.reply].into_iter().flatten()
}

/// A message in which every byte of every field is 1, with a tail.
fn message(row: &Row, layout: &Layout) -> Vec<u8> {
    let length = layout.tail().map_or(layout.size, |tail| tail.offset + TAIL);
    let mut bytes = vec![0; length];
    bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
    bytes[4..8].copy_from_slice(&(row.operation as u32).to_le_bytes());
    for field in layout.fields {
        let size = field.kind.size().unwrap_or(TAIL);
        bytes[field.offset..field.offset + size].fill(1);
    }
    bytes
}
