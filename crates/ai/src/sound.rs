//! How long a sound is, as far as its first bytes tell.

/// As many first bytes as are looked at.
pub(crate) const HEAD: usize = 64 * 1024;

/// Bytes of text that are spoken in a second, as far as nobody measures.
const SPOKEN: u64 = 15;
/// The fewest of them: what slow speech, or much silence between words, takes.
const SPOKEN_SLOWLY: u64 = 8;
/// The fewest bytes that a second of compressed speech has.
const THIN: u64 = 2_000;
/// Bytes of a second of PCM as providers answer it: 24,000 samples of 16 bits.
const PCM: u64 = 48_000;

/// How long a spoken text probably is, in seconds.
pub(crate) fn of_text(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(SPOKEN)
}

/// How long a spoken text is at most, in seconds.
pub(crate) fn most_of_text(bytes: usize, speed: f64) -> u64 {
    let slowly = (bytes as u64).div_ceil(SPOKEN_SLOWLY) as f64;
    // Saturates.
    (slowly / speed.clamp(0.25, 4.0)).ceil() as u64 + 1
}

/// How long so many bytes of a sound are at most, where nobody knows more.
pub(crate) fn most_of_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(THIN)
}

/// The length of a sound in seconds, from its first bytes and from how many there are in all; `None`
/// where they do not tell.
pub(crate) fn seconds(media_type: &str, head: &[u8], total: u64) -> Option<f64> {
    let found = if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WAVE") {
        wav(head, total)
    } else if head.starts_with(b"fLaC") {
        flac(head)
    } else if let Some(frame) = mpeg_frame(head) {
        mpeg(head, frame, total)
    } else if matches!(media_type, "audio/pcm" | "audio/l16") {
        Some(total as f64 / PCM as f64)
    } else {
        None
    };
    found.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

fn le32(bytes: &[u8], at: usize) -> Option<u64> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u64::from(u32::from_le_bytes(four.try_into().ok()?)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The data over the bytes of a second.
fn wav(head: &[u8], total: u64) -> Option<f64> {
    let (mut at, mut rate) = (12_usize, None);
    loop {
        let length = le32(head, at + 4)?;
        match head.get(at..at + 4)? {
            b"fmt " => rate = le32(head, at + 16).filter(|rate| *rate > 0),
            b"data" => {
                // A sound that is streamed has a length that is none.
                let there = total.saturating_sub(at as u64 + 8);
                return Some(length.min(there) as f64 / rate? as f64);
            }
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(usize::try_from(length.next_multiple_of(2)).ok()?)?;
    }
}

/// The samples over the samples of a second, both of which the first block tells.
fn flac(head: &[u8]) -> Option<f64> {
    let rate = be32(head, 18)? >> 12;
    let samples = (u64::from(be32(head, 20)? >> 8 & 0xF) << 32) | u64::from(be32(head, 22)?);
    (rate > 0 && samples > 0).then(|| samples as f64 / f64::from(rate))
}

/// Where the first frame of MPEG audio begins, after the tags before it.
fn mpeg_frame(head: &[u8]) -> Option<usize> {
    let mut at = 0;
    if head.starts_with(b"ID3") {
        let size =
            head.get(6..10)?.iter().fold(0_usize, |size, b| size << 7 | usize::from(b & 0x7F));
        at = 10 + size;
    }
    let is_frame =
        head.get(at) == Some(&0xFF) && head.get(at + 1).is_some_and(|b| b & 0xE0 == 0xE0);
    is_frame.then_some(at)
}

/// The number of frames where it stands in the first one, else the bytes over the rate of the first.
fn mpeg(head: &[u8], at: usize, total: u64) -> Option<f64> {
    const RATES_1: [u64; 16] =
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
    const RATES_2: [u64; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
    const SAMPLES: [f64; 4] = [44_100.0, 48_000.0, 32_000.0, 0.0];
    let word = be32(head, at)?;
    let (version, layer) = (word >> 19 & 3, word >> 17 & 3);
    // Layer III alone: everybody's MP3.
    if layer != 1 || version == 1 {
        return None;
    }
    let is_first = version == 3;
    let rates = if is_first { &RATES_1 } else { &RATES_2 };
    let kilobits = rates.get((word >> 12 & 15) as usize).copied().filter(|rate| *rate > 0)?;
    let halved = match version {
        3 => 1.0,
        2 => 2.0,
        _ => 4.0,
    };
    let rate = SAMPLES.get((word >> 10 & 3) as usize).copied().filter(|rate| *rate > 0.0)? / halved;
    let is_mono = word >> 6 & 3 == 3;
    let side = match (is_first, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let info = at + 4 + side;
    if matches!(head.get(info..info + 4), Some(b"Xing" | b"Info")) && be32(head, info + 4)? & 1 == 1
    {
        let frames = f64::from(be32(head, info + 8)?);
        let samples = if is_first { 1_152.0 } else { 576.0 };
        return Some(frames * samples / rate);
    }
    Some(total.saturating_sub(at as u64) as f64 / (kilobits * 125) as f64)
}

/// A sound of one tone: WAV, mono, 16 bits, 16,000 samples a second.
pub(crate) fn tone(seconds: u32) -> Vec<u8> {
    const RATE: u32 = 16_000;
    let samples = RATE * seconds;
    let mut wav = Vec::with_capacity(44 + samples as usize * 2);
    wav.extend(b"RIFF");
    wav.extend((36 + samples * 2).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(1_u16.to_le_bytes());
    wav.extend(1_u16.to_le_bytes());
    wav.extend(RATE.to_le_bytes());
    wav.extend((RATE * 2).to_le_bytes());
    wav.extend(2_u16.to_le_bytes());
    wav.extend(16_u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend((samples * 2).to_le_bytes());
    for at in 0..samples {
        // 440 waves a second, quiet, in the form of a saw: the same on every machine.
        let phase = i32::try_from(at * 440 % RATE).unwrap_or(0);
        let level = i16::try_from(phase / 4 - 2_000).unwrap_or(0);
        wav.extend(level.to_le_bytes());
    }
    wav
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tone_is_as_long_as_it_says() {
        let wav = tone(2);
        let total = wav.len() as u64;
        assert_eq!(seconds("", &wav[..1_000], total), Some(2.0));
        assert_eq!(seconds("", &wav[..1_000], 44 + 16_000), Some(0.5), "what arrived counts");
        let mut streamed = wav;
        streamed[40..44].fill(0xFF);
        assert_eq!(seconds("", &streamed[..1_000], total), Some(2.0));
    }

    #[test]
    fn mpeg_is_measured_by_its_rate_or_its_frames() {
        // MPEG 1, layer III, 128 kbit/s, 44,100 samples, stereo.
        let mut mp3 = vec![0xFF, 0xFB, 0x90, 0x00];
        mp3.resize(200, 0);
        assert_eq!(seconds("audio/mpeg", &mp3, 32_000), Some(2.0));
        let mut tagged = b"ID3\x04\x00\x00\x00\x00\x00\x02xx".to_vec();
        tagged.extend(&mp3);
        assert_eq!(seconds("", &tagged, 32_012), Some(2.0));
        mp3[36..40].copy_from_slice(b"Xing");
        mp3[40..48].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0x00, 100]);
        let long = seconds("", &mp3, 1).unwrap();
        assert!((long - 100.0 * 1_152.0 / 44_100.0).abs() < 1e-9);
    }

    #[test]
    fn flac_and_pcm_tell_their_length() {
        let mut flac = b"fLaC\x00\x00\x00\x22".to_vec();
        flac.resize(60, 0);
        // 16,000 samples a second in 20 bits, then 8 other bits, then 32,000 samples in 36 bits.
        flac[18..26].copy_from_slice(&[0x03, 0xE8, 0x00, 0xF0, 0x00, 0x00, 0x7D, 0x00]);
        assert_eq!(seconds("", &flac, 9), Some(2.0));
        assert_eq!(seconds("audio/pcm", &[0; 8], 96_000), Some(2.0));
        assert_eq!(seconds("audio/ogg", b"OggS", 96_000), None);
    }

    #[test]
    fn texts_have_a_probable_and_a_longest_length() {
        assert_eq!((of_text(30), most_of_text(32, 1.0), most_of_text(32, 2.0)), (2, 5, 3));
        assert_eq!((most_of_text(32, 0.0), most_of_text(32, f64::NAN)), (17, 1));
        assert_eq!(most_of_bytes(2_001), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_length_or_none(
            kind in 0..5_usize, bytes in prop::collection::vec(any::<u8>(), 0..80), total: u64,
        ) {
            let begin: &[u8] = [&b"RIFF\0\0\0\0WAVE"[..], b"fLaC", b"ID3", b"\xFF\xFB", b""][kind];
            let _ = seconds("audio/pcm", &[begin, &bytes].concat(), total);
        }
    }
}
