//! Randomness of the operating system.

/// 128 random bits in hexadecimal; `None` where the operating system has no randomness to give.
pub(crate) fn key() -> Option<String> {
    let bits = u128::from_le_bytes(bytes()?);
    Some(format!("{bits:032x}"))
}

/// Evenly between 0 and 1.
pub(crate) fn fraction() -> f64 {
    let bits = bytes().map_or(0, u32::from_le_bytes);
    f64::from(bits) / f64::from(u32::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a client runs without a server's runtime")]
fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
