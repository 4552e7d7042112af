//! Digests of rows, and the trees that their sums make.
//!
//! A row has two hashes: 64 bits of its key, which say to which leaf of a tree it belongs, and 128 bits of the whole. A leaf is
//! the sum of the rows' hashes that belong to it, a node above it the sum of its leaves: so the order of rows does not matter,
//! and two copies can be compared from the root down. The seed is new for each comparison, so that nobody can choose rows
//! whose hashes are equal.

use rustler::types::tuple::get_tuple;
use rustler::{Binary, Decoder, Env, Error, NewBinary, NifResult, Term};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::canonical::Writer;

/// The bytes of a row's two hashes.
const HASHES: usize = 24;
/// The bytes of a sum.
const SUM: usize = 16;

/// The hashes of rows, 24 bytes each: of the key, big endian, and of the row. Rows that have no canonical bytes are left out,
/// and their places in the list returned, from 0.
#[rustler::nif(schedule = "DirtyCpu")]
fn hash_rows<'a>(
    env: Env<'a>,
    rows: Term<'a>,
    key_position: usize,
    seed: u64,
) -> NifResult<(Binary<'a>, Vec<usize>)> {
    let mut writer = Writer::default();
    let mut hashes = Vec::new();
    let mut left_out = Vec::new();
    for (place, row) in elements(rows)?.into_iter().enumerate() {
        match hash_row(&mut writer, row, key_position, seed)? {
            Some(hash) => hashes.extend_from_slice(&hash),
            None => left_out.push(place),
        }
    }
    Ok((NewBinary::from_slice(env, &hashes).into(), left_out))
}

/// The elements of a list; rustler's own iterator panics at an improper end.
fn elements(list: Term<'_>) -> NifResult<Vec<Term<'_>>> {
    let mut elements = Vec::new();
    let mut rest = list;
    while let Ok((head, tail)) = rest.list_get_cell() {
        elements.push(head);
        rest = tail;
    }
    if rest.is_empty_list() { Ok(elements) } else { Err(Error::BadArg) }
}

/// The elements of a list, each of this kind. A `Vec` as an argument would be read by rustler's own iterator.
fn decoded<'a, T: Decoder<'a>>(list: Term<'a>) -> NifResult<Vec<T>> {
    elements(list)?.into_iter().map(Term::decode).collect()
}

fn hash_row(
    writer: &mut Writer,
    row: Term<'_>,
    key_position: usize,
    seed: u64,
) -> NifResult<Option<[u8; HASHES]>> {
    let parts = get_tuple(row)?;
    if key_position == 0 || key_position > parts.len() {
        return Err(Error::BadArg);
    }
    writer.bytes.clear();
    let mut key = 0..0;
    for (position, part) in (1..).zip(parts) {
        let from = writer.bytes.len();
        if writer.write(part).is_err() {
            return Ok(None);
        }
        if position == key_position {
            key = from..writer.bytes.len();
        }
    }
    let mut hashes = [0; HASHES];
    let (of_key, of_row) = hashes.split_at_mut(HASHES - SUM);
    of_key.copy_from_slice(&xxh3_64_with_seed(writer.bytes.get(key).unwrap_or_default(), seed).to_be_bytes());
    of_row.copy_from_slice(&xxh3_128_with_seed(&writer.bytes, seed).to_be_bytes());
    Ok(Some(hashes))
}

/// Adds hashes of rows to the leaves of a tree. There are 2^n leaves; the first n bits of a key's hash say which is the row's.
#[rustler::nif(schedule = "DirtyCpu")]
fn add_hashes<'a>(env: Env<'a>, leaves: Binary<'a>, pieces: Term<'a>) -> NifResult<Binary<'a>> {
    let pieces: Vec<Binary<'a>> = decoded(pieces)?;
    let count = leaves.len() / SUM;
    let whole =
        leaves.len().is_multiple_of(SUM) && pieces.iter().all(|piece| piece.len().is_multiple_of(HASHES));
    if !whole || !count.is_power_of_two() {
        return Err(Error::BadArg);
    }
    let mut sums: Vec<u128> = leaves.chunks_exact(SUM).map(sum).collect();
    let bits = count.trailing_zeros();
    for piece in pieces {
        for hashes in piece.chunks_exact(HASHES) {
            let (key, row) = hashes.split_at(HASHES - SUM);
            let leaf = leaf(key, bits);
            if let Some(of_leaf) = sums.get_mut(leaf) {
                *of_leaf = of_leaf.wrapping_add(sum(row));
            }
        }
    }
    written(env, &sums)
}

/// The leaf of a key with this hash, in a tree of 2^`bits` leaves.
fn leaf(key: &[u8], bits: u32) -> usize {
    let hash = key.try_into().map_or(0, u64::from_be_bytes);
    usize::try_from(hash.checked_shr(64 - bits).unwrap_or(0)).unwrap_or(0)
}

fn sum(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_be_bytes)
}

fn written<'a>(env: Env<'a>, sums: &[u128]) -> NifResult<Binary<'a>> {
    let mut binary = NewBinary::new(env, sums.len() * SUM);
    for (place, sum) in binary.as_mut_slice().chunks_exact_mut(SUM).zip(sums) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(binary.into())
}

/// The sums of each `width` sums in a row: the level above.
#[rustler::nif(schedule = "DirtyCpu")]
fn level_above<'a>(env: Env<'a>, sums: Binary<'a>, width: usize) -> NifResult<Binary<'a>> {
    let bytes = width.checked_mul(SUM).filter(|bytes| *bytes > 0 && sums.len().is_multiple_of(*bytes));
    let above: Vec<u128> = sums
        .chunks_exact(bytes.ok_or(Error::BadArg)?)
        .map(|below| below.chunks_exact(SUM).map(sum).fold(0, u128::wrapping_add))
        .collect();
    written(env, &above)
}

/// The keys of the rows that belong to the leaves, which are sorted, each with the hash of its row.
#[rustler::nif(schedule = "DirtyCpu")]
fn keys_of_leaves<'a>(
    env: Env<'a>,
    rows: Term<'a>,
    key_position: usize,
    seed: u64,
    bits: u32,
    leaves: Term<'a>,
) -> NifResult<Vec<(Term<'a>, Binary<'a>)>> {
    let leaves: Vec<usize> = decoded(leaves)?;
    if bits > 32 {
        return Err(Error::BadArg);
    }
    let mut writer = Writer::default();
    let mut found = Vec::new();
    for row in elements(rows)? {
        let Some(hashes) = hash_row(&mut writer, row, key_position, seed)? else { continue };
        let (of_key, of_row) = hashes.split_at(HASHES - SUM);
        if leaves.binary_search(&leaf(of_key, bits)).is_ok() {
            let key = get_tuple(row)?.into_iter().nth(key_position - 1).ok_or(Error::BadArg)?;
            found.push((key, NewBinary::from_slice(env, of_row).into()));
        }
    }
    Ok(found)
}
