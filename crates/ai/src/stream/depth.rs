//! Where JSON that arrives in pieces ends.

/// Follows the nesting of JSON that arrives in pieces, so that it is parsed once, when it is
/// complete, and not after every piece.
#[derive(Default)]
pub(crate) struct Depth {
    open: usize,
    in_text: bool,
    escaped: bool,
}

impl Depth {
    /// Whether an object or list has been closed for good.
    pub(crate) fn feed(&mut self, text: &str) -> bool {
        let mut closed = false;
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.open += 1,
                b'}' | b']' => {
                    self.open = self.open.saturating_sub(1);
                    closed |= self.open == 0;
                }
                _ => {}
            }
        }
        closed && self.open == 0
    }
}
