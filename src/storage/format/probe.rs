//! Entrances of the fuzz targets: decode and encode again, whatever the table.

use super::{
    codec::Row,
    head::{LogKeys, decode_slots, encode_slots},
    last_access::LastAccess,
    needs::Needs,
    tables::{tail, tail_rows},
};
use crate::domain::{ApplicationToken, Integration, Project, SessionRow, User};

/// The number of tables and values that [`reread`] knows.
pub(crate) const TABLES: usize = 10;

/// Decodes a row, and returns its key and bytes as they are written; `None` if it does not decode.
pub(crate) fn reread(table: usize, key: &[u8], bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    match table {
        0 => row::<User>(key, bytes),
        1 => row::<SessionRow>(key, bytes),
        2 => row::<Project>(key, bytes),
        3 => row::<Integration>(key, bytes),
        4 => row::<ApplicationToken>(key, bytes),
        5 => row::<LastAccess>(key, bytes),
        6 => Some((key.to_vec(), encode_slots(&decode_slots(bytes).ok()?))),
        7 => Some((key.to_vec(), LogKeys::from_bytes(bytes).ok()?.to_bytes())),
        8 => Some((key.to_vec(), tail(&tail_rows(bytes)?))),
        _ => Some((key.to_vec(), Needs::from_bytes(Some(bytes))?.to_bytes())),
    }
}

fn row<R: Row>(key: &[u8], bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    R::read(key, bytes).ok().flatten().map(|row| (row.key(), row.to_bytes()))
}
