//! The picture of the provider `echo`: the word ECHO in black and white, which nobody takes for the
//! work of a model.

/// Rows of the letters, five dots wide each.
const LETTERS: [[u8; 7]; 4] = [
    [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
    [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
    [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
];
/// Dots to the left and right, and above and below the word.
const MARGIN: u32 = 4;
/// Pixels of a dot.
const DOT: u32 = 4;
const WIDTH: u32 = (4 * 6 - 1 + 2 * MARGIN) * DOT;
const HEIGHT: u32 = (7 + 2 * MARGIN) * DOT;

/// The picture as a PNG of one bit a pixel.
pub(super) fn png() -> Vec<u8> {
    let mut lines = Vec::new();
    for y in 0..HEIGHT {
        // Each line begins with its filter: none.
        lines.push(0);
        for byte in 0..WIDTH.div_ceil(8) {
            let bits = (0..8).map(|bit| !is_black(byte * 8 + bit, y));
            lines.push(bits.fold(0, |bits, white| (bits << 1) | u8::from(white)));
        }
    }
    let mut head = Vec::new();
    head.extend_from_slice(&WIDTH.to_be_bytes());
    head.extend_from_slice(&HEIGHT.to_be_bytes());
    // One bit of grey; the only ways to compress, to filter and to order.
    head.extend_from_slice(&[1, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", head), (b"IDAT", stored(&lines)), (b"IEND", Vec::new())] {
        png.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let checked = [&name[..], &data[..]].concat();
        png.extend_from_slice(&checked);
        png.extend_from_slice(&crc32(&checked).to_be_bytes());
    }
    png
}

fn is_black(x: u32, y: u32) -> bool {
    let (Some(x), Some(y)) = ((x / DOT).checked_sub(MARGIN), (y / DOT).checked_sub(MARGIN)) else {
        return false;
    };
    let letter = LETTERS.get((x / 6) as usize);
    let row = letter.and_then(|letter| letter.get(y as usize));
    x % 6 < 5 && row.is_some_and(|row| row >> (4 - x % 6) & 1 == 1)
}

/// A zlib stream that compresses nothing; `data` fits into one of its blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend_from_slice(&length.to_le_bytes());
    stream.extend_from_slice(&(!length).to_le_bytes());
    stream.extend_from_slice(data);
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend_from_slice(&(b << 16 | a).to_be_bytes());
    stream
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_png() {
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
        assert_eq!(stored(b"Wikipedia")[16..], 0x11E6_0398_u32.to_be_bytes());
        assert!(png().starts_with(b"\x89PNG"));
        assert!(stored(&[0; 100]).len() < 65_535);
    }

    #[test]
    fn the_word_is_there() {
        let line = |y: u32| -> String {
            let dots = (0..WIDTH / DOT).map(|x| if is_black(x * DOT, y * DOT) { '#' } else { ' ' });
            dots.collect::<String>().trim_end().to_owned()
        };
        assert_eq!(line(MARGIN), "    #####  ###  #   #  ###");
        assert_eq!(line(0), "");
    }
}
